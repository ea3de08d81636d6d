"""The content of one commit, as what it changed: so a copy of a history costs what was written, not what is
there.

DiffFile says which files differ from the commit's base, and GetFileTAR brings those, many in one stream;
each file is passed on piece by piece and never held as a whole. A commit without a base is one stream of all
there is.

Read next: history.py (who writes it down).
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pachlet.client.connection import Connection, Message
from pachlet.errors import Corrupt

SERVICE = "pfs_v2.API"
_FILE = 1  # FileType.FILE
_PIECE = 4 * 1024 * 1024
_NAMES = 200  # files asked for in one stream: few enough for a pattern, many enough to be fast
_SPECIAL = re.compile(r"([\\,])")  # what a pattern's braces would take for theirs; a path has no other

Advance = Callable[[int], None]
Request = dict[str, Any]


def requests(
    source: Connection, commit: Message, base: Message | None, advance: Advance
) -> Iterator[Request]:
    """Yield the parts of a ModifyFile stream that make `commit` of `base`; none if they are equal."""
    if base is None:
        if next(source.call(SERVICE, "ListFile", {"file": _file(commit, "/")}), None) is not None:
            yield from _added(source, _file(commit, "/"), advance)
        return
    gone, new = _paths(source, commit, base)
    for path in gone:
        yield {"delete_file": {"path": path}}
    for start in range(0, len(new), _NAMES):
        pattern = any_of(new[start : start + _NAMES])
        yield from _added(source, _file(commit, pattern), advance)


def any_of(paths: Sequence[str]) -> str:
    """Return a pattern that matches these paths and no others."""
    if len(paths) == 1:
        return _literal(paths[0])
    folder = posixpath.commonpath([posixpath.dirname(path) for path in paths]).rstrip("/") + "/"
    rests = ",".join(_literal(path.removeprefix(folder)) for path in paths)
    return f"{_literal(folder)}{{{rests}}}"


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


def _paths(source: Connection, commit: Message, base: Message) -> tuple[list[str], list[str]]:
    """Return the files to delete, those that are replaced among them, and the files to add."""
    gone, new = [], []
    request = {"new_file": _file(commit, "/"), "old_file": _file(base, "/")}
    for pair in source.call(SERVICE, "DiffFile", request):
        if pair.HasField("old_file") and pair.old_file.file_type == _FILE:
            gone.append(pair.old_file.file.path)
        if pair.HasField("new_file") and pair.new_file.file_type == _FILE:
            new.append(pair.new_file.file.path)
    return gone, new


def _added(source: Connection, file: Request, advance: Advance) -> Iterator[Request]:
    stream = source.call(SERVICE, "GetFileTAR", {"file": file})
    try:
        with tarfile.open(fileobj=_Reader(stream), mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                path = "/" + member.name.lstrip("/")
                piece = content.read(_PIECE)
                while True:  # once even if there is nothing to read: an empty file is a file
                    yield {"add_file": {"path": path, "raw": {"value": piece}}}
                    advance(len(piece))
                    if not (piece := content.read(_PIECE)):
                        break
    except tarfile.TarError as error:
        raise Corrupt(f"the stream from {source.address} broke off: {error}", hint="try again") from None


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
