"""Get files: the bytes of one, or a folder of many.

One file comes through GetFile, piece by piece. Many come through GetFileTAR, one stream for all of them, and
are unpacked here; a name in the archive can't leave the destination. A file on disk is complete or not there
at all, and so is a folder that was not there before. A server on this machine that knows us for its user writes
them itself.

Read next: local_files.py, put_file.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO

from pachlet.client import names
from pachlet.client.connection import Connection
from pachlet.client.files import find_file, inspect_file
from pachlet.client.local_files import Pass, ask_for_pass, outcome, target_url, watched
from pachlet.errors import Corrupt, PachletError, Refused
from pachlet.place import current_umask

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
    named = names.file(connection.project, file)
    if destination.is_dir():
        destination = destination / PurePosixPath(named["path"]).name
    if destination.exists() and not destination.is_file():  # a pipe or a device is written to, not replaced
        with _writing(destination), destination.open("wb") as stream:
            return get_file(connection, file, stream, offset=offset, advance=advance)
    way = _way(connection)
    if way is None:
        with _appearing(destination) as out:
            return get_file(connection, file, out, offset=offset, advance=advance)
    request = {"file": named, "offset": offset, "URL": target_url(destination)}
    return _written_by_server(connection, "GetFile", request, way, advance)[1]


def get_to_url(connection: Connection, file: str, url: str) -> None:
    """Have the server write a file, or all below a folder or that a glob matches, to an object store below a URL."""
    request = {"file": names.file(connection.project, file), "URL": url}
    for _ in connection.call(SERVICE, "GetFileTAR", request):
        pass


def resume_file(
    connection: Connection, file: str, destination: Path, *, advance: Advance | None = None
) -> int:
    """Append to a file on disk what it lacks of the stored one; return the number of bytes.

    Raises:
        Refused: it is longer than the stored one, so it can be no beginning of it.
    """
    have = destination.stat().st_size if destination.exists() else 0
    stored = find_file(connection, file)  # not there for a glob, whose size nobody knows
    if stored is not None and have > stored.size_bytes:
        raise Refused(
            f"{destination} has {have} bytes, more than the {stored.size_bytes} of {file}",
            hint="it is no beginning of that; get it without --retry",
        )
    with _writing(destination), destination.open("ab") as out:
        return get_file(connection, file, out, offset=have, advance=advance)


def get_folder(
    connection: Connection, file: str, destination: Path, *, advance: Advance | None = None
) -> int:
    """Write a folder (or all that a glob matches, or one file) below `destination`; return the number of files."""
    named = names.file(connection.project, file)
    prefix = "" if _GLOB & set(named["path"]) else _folder_of(inspect_file(connection, file).file.path)
    way = _way(connection)
    if way is not None:
        request = {"file": named, "URL": target_url(destination, prefix)}
        return _written_by_server(connection, "GetFileTAR", request, way, advance)[0]
    if destination.exists():
        return _unpack(connection, file, destination, prefix, advance)
    with _writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=destination.parent, prefix=".get-"))
    try:
        count = _unpack(connection, file, scratch / "all", prefix, advance)
        with _writing(destination):
            if count:
                (scratch / "all").rename(destination)
        return count
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _folder_of(path: str) -> str:
    """Return a folder itself, which ends with a slash, or the folder that a file is in."""
    return path[: path.rindex("/") + 1]


def _way(connection: Connection) -> Pass | None:
    """Return what lets the server write for us, None if it can't or would not do it as we do."""
    way = ask_for_pass(connection)
    return way if way is not None and way.makes_files_as_we_do else None


def _written_by_server(
    connection: Connection, method: str, request: Mapping[str, object], way: Pass, advance: Advance | None
) -> tuple[int, int]:
    """Have the server write; return the number of files and of bytes."""
    with watched(connection, way, advance):
        for _ in connection.call(SERVICE, method, request, metadata=way.metadata):
            pass
    return outcome(connection, way)


def _unpack(
    connection: Connection, file: str, destination: Path, prefix: str, advance: Advance | None
) -> int:
    stream = connection.call(SERVICE, "GetFileTAR", {"file": names.file(connection.project, file)})
    count = 0
    try:
        with tarfile.open(fileobj=_Reader(stream, advance), mode="r|") as archive:
            for member in archive:
                place = _inside(destination, member.name, prefix)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif content := archive.extractfile(member):
                    with _appearing(place) as out:
                        shutil.copyfileobj(content, out, 1024 * 1024)
                    count += 1
                archive.members = []  # type: ignore[attr-defined]  # it keeps all that it has seen
    except tarfile.TarError as error:
        raise Corrupt(f"the stream of {file} broke off: {error}", hint="try again") from None
    except OSError as error:
        raise PachletError(f"cannot write below {destination}: {error.strerror or error}") from None
    return count


def _inside(destination: Path, name: str, prefix: str) -> Path:
    relative = ("/" + name.lstrip("/")).removeprefix(prefix).strip("/")
    parts = PurePosixPath(relative).parts
    if ".." in parts:
        raise Corrupt(f"the server sent a file named {name!r}, which would land outside of {destination}")
    return destination.joinpath(*parts)


@contextlib.contextmanager
def _writing(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PachletError(f"cannot write {destination}: {error.strerror or error}") from None


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
        os.fchmod(handle, 0o666 & ~_umask())
        self._temporary = Path(name)
        self._out = os.fdopen(handle, "wb")
        return self._out

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            with _writing(self._destination):
                try:
                    if isinstance(error, OSError):  # of the block, which writes here and nowhere else
                        raise error
                finally:
                    self._out.close()
                if kind is None:
                    self._temporary.replace(self._destination)
        finally:
            self._temporary.unlink(missing_ok=True)


@cache
def _umask() -> int:
    return current_umask()


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
