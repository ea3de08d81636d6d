"""The content of one commit, as what it changed: so a copy of a history costs what was written, not what is
there.

DiffFile says which files differ from the commit's base. Few of them come one by one, several at a time; where
they are half of the commit or more, all of it comes as one archive and the rest is passed over. A commit
without a base is one archive. No large file is ever held as a whole.

Read next: history.py (who writes it down).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from pachlet.client.connection import Connection, Message
from pachlet.errors import Corrupt

SERVICE = "pfs_v2.API"
_FILE = 1  # FileType.FILE
_PIECE = 4 * 1024 * 1024
_SMALL = 256 * 1024  # bytes; smaller files are fetched ahead, larger ones passed on piece by piece
_AHEAD = 64  # small files that are fetched before they are passed on
_AT_ONCE = 8  # calls at a time: a server far away answers each in its own time

Advance = Callable[[int], None]
Request = dict[str, Any]


def requests(
    source: Connection, commit: Message, base: Message | None, size: int, advance: Advance
) -> Iterator[Request]:
    """Yield the parts of a ModifyFile stream that make `commit` of `base`; none if they are equal.

    `size` is the number of bytes of the whole commit.
    """
    if base is None:
        if next(source.call(SERVICE, "ListFile", {"file": _file(commit, "/")}), None) is not None:
            yield from _archive(source, commit, advance)
        return
    gone, new = _paths(source, commit, base)
    for path in gone:
        yield {"delete_file": {"path": path}}
    if new and sum(new.values()) * 2 >= size:
        yield from _archive(source, commit, advance, only=new)
    else:
        yield from _one_by_one(source, commit, new, advance)


def _paths(source: Connection, commit: Message, base: Message) -> tuple[list[str], dict[str, int]]:
    """Return the files to delete, those that are replaced among them, and the files to add with their sizes."""
    gone, new = [], {}
    request = {"new_file": _file(commit, "/"), "old_file": _file(base, "/")}
    for pair in source.call(SERVICE, "DiffFile", request):
        if pair.HasField("old_file") and pair.old_file.file_type == _FILE:
            gone.append(pair.old_file.file.path)
        if pair.HasField("new_file") and pair.new_file.file_type == _FILE:
            new[pair.new_file.file.path] = int(pair.new_file.size_bytes)
    return gone, new


def _one_by_one(
    source: Connection, commit: Message, files: Mapping[str, int], advance: Advance
) -> Iterator[Request]:
    small = [path for path, size in files.items() if size <= _SMALL]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="import") as pool:
        for start in range(0, len(small), _AHEAD):
            paths = small[start : start + _AHEAD]
            contents = pool.map(lambda path: b"".join(_pieces(source, commit, path)), paths)
            for path, content in zip(paths, contents, strict=True):
                yield from _add(path, [content], advance)
    for path, size in files.items():
        if size > _SMALL:
            yield from _add(path, _pieces(source, commit, path), advance)


def _pieces(source: Connection, commit: Message, path: str) -> Iterator[bytes]:
    # The path is read as a pattern; of what patterns have, a path can hold nothing but the backslash.
    file = _file(commit, path.replace("\\", "\\\\"))
    for message in source.call(SERVICE, "GetFile", {"file": file}):
        yield message.value


def _archive(
    source: Connection, commit: Message, advance: Advance, *, only: Container[str] | None = None
) -> Iterator[Request]:
    """Yield all files of a commit, or `only` some."""
    stream = source.call(SERVICE, "GetFileTAR", {"file": _file(commit, "/")})
    try:
        with tarfile.open(fileobj=_Reader(stream), mode="r|") as archive:
            for member in archive:
                path = "/" + member.name.lstrip("/")
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None and (only is None or path in only):
                    yield from _add(path, iter(partial(content.read, _PIECE), b""), advance)
    except tarfile.TarError as error:
        raise Corrupt(f"the stream from {source.address} broke off: {error}", hint="try again") from None


def _add(path: str, pieces: Iterable[bytes], advance: Advance) -> Iterator[Request]:
    """Yield the parts that add a file; one even if it is empty, for an empty file is a file."""
    is_empty = True
    for piece in pieces:
        is_empty = False
        yield {"add_file": {"path": path, "raw": {"value": piece}}}
        advance(len(piece))
    if is_empty:
        yield {"add_file": {"path": path, "raw": {"value": b""}}}


def _file(commit: Message, path: str) -> Request:
    return {"commit": {"repo": commit.repo, "id": commit.id}, "path": path}


class _Reader(io.RawIOBase):
    """The messages of a stream as one readable file, for tarfile."""

    def __init__(self, stream: Iterator[Message]) -> None:
        self._stream = stream
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            message = next(self._stream, None)
            if message is None:
                return 0
            self._rest = memoryview(message.value)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def read(self, size: int = -1) -> bytes:
        """Return exactly `size` bytes, fewer only at the end: tarfile asks for whole blocks."""
        parts = bytearray()
        while size < 0 or len(parts) < size:
            buffer = bytearray(_PIECE if size < 0 else min(size - len(parts), _PIECE))
            count = self.readinto(buffer)
            if not count:
                break
            parts += buffer[:count]
        return bytes(parts)
