"""Get files: the bytes of one, or a folder of many.

One file comes through GetFile, piece by piece. Many come through GetFileTAR, one stream for all of them, and
are unpacked here; a name in the archive can't leave the destination. A file on disk is complete or not there
at all.

Read next: put_file.py.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pachlet.client import names
from pachlet.client.connection import Connection
from pachlet.client.files import inspect_file
from pachlet.errors import Corrupt, PachletError

SERVICE = "pfs_v2.API"
_GLOB = frozenset("*?[]{}!()@+")

Advance = Callable[[int], None]


def read_file(connection: Connection, file: str, *, offset: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces, leaving out the first `offset`."""
    request = {"file": names.file(connection.project, file), "offset": offset}
    for piece in connection.call(SERVICE, "GetFile", request):
        yield piece.value


def get_bytes(connection: Connection, file: str) -> bytes:
    """Return a whole file."""
    return b"".join(read_file(connection, file))


def get_file(
    connection: Connection, file: str, out: IO[bytes], *, offset: int = 0, advance: Advance | None = None
) -> int:
    """Write a file to a stream; return the number of bytes."""
    total = 0
    for piece in read_file(connection, file, offset=offset):
        out.write(piece)
        total += len(piece)
        if advance is not None:
            advance(len(piece))
    return total


def download_file(
    connection: Connection, file: str, destination: Path, *, offset: int = 0, advance: Advance | None = None
) -> int:
    """Write a file to disk, replacing what is there only when all has come; return the number of bytes."""
    if destination.is_dir():
        destination = destination / PurePosixPath(names.file(connection.project, file)["path"]).name
    with _appearing(destination) as out:
        return get_file(connection, file, out, offset=offset, advance=advance)


def resume_file(
    connection: Connection, file: str, destination: Path, *, advance: Advance | None = None
) -> int:
    """Append to a file on disk what it lacks of the stored one; return the number of bytes."""
    have = destination.stat().st_size if destination.exists() else 0
    with destination.open("ab") as out:
        return get_file(connection, file, out, offset=have, advance=advance)


def get_folder(
    connection: Connection, file: str, destination: Path, *, advance: Advance | None = None
) -> list[Path]:
    """Unpack a folder (or all that a glob matches) below `destination`; return the files written."""
    named = names.file(connection.project, file)
    prefix = "" if _GLOB & set(named["path"]) else inspect_file(connection, file).file.path
    stream = connection.call(SERVICE, "GetFileTAR", {"file": named})
    written = []
    try:
        with tarfile.open(fileobj=_Reader(stream, advance), mode="r|") as archive:
            for member in archive:
                place = _inside(destination, member.name, prefix)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif content := archive.extractfile(member):
                    with _appearing(place) as out:
                        shutil.copyfileobj(content, out, 1024 * 1024)
                    written.append(place)
    except tarfile.TarError as error:
        raise Corrupt(f"the stream of {file} broke off: {error}", hint="try again") from None
    except OSError as error:
        raise PachletError(f"cannot write below {destination}: {error.strerror or error}") from None
    return written


def _inside(destination: Path, name: str, prefix: str) -> Path:
    relative = ("/" + name.lstrip("/")).removeprefix(prefix).strip("/")
    parts = PurePosixPath(relative).parts
    if ".." in parts:
        raise Corrupt(f"the server sent a file named {name!r}, which would land outside of {destination}")
    return destination.joinpath(*parts)


class _appearing:
    """A file for writing that takes its place when the block ends well, and else leaves nothing."""

    def __init__(self, destination: Path) -> None:
        self._destination = destination

    def __enter__(self) -> IO[bytes]:
        try:
            self._destination.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._destination.parent, prefix=".get-")
        except OSError as error:
            raise PachletError(f"cannot write {self._destination}: {error.strerror}") from None
        umask = os.umask(0)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        self._temporary = Path(name)
        self._out = os.fdopen(handle, "wb")
        return self._out

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._out.close()
        try:
            if kind is None:
                self._temporary.replace(self._destination)
        except OSError as error:
            raise PachletError(f"cannot write {self._destination}: {error.strerror}") from None
        finally:
            self._temporary.unlink(missing_ok=True)


class _Reader(io.RawIOBase):
    """The messages of a stream as one readable file, for tarfile."""

    def __init__(self, stream: Iterator[object], advance: Advance | None) -> None:
        self._stream = stream
        self._advance = advance or (lambda _: None)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, needed = [], size
        while needed:
            if not self._rest:
                message = next(self._stream, None)
                if message is None:
                    break
                self._rest = message.value  # type: ignore[attr-defined]
                self._advance(len(self._rest))
            part = self._rest if size < 0 else self._rest[:needed]
            self._rest = self._rest[len(part) :]
            parts.append(part)
            needed -= len(part) if size >= 0 else 0
        return b"".join(parts)
