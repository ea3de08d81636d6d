"""Make a tar stream of files, as GetFileTAR sends it.

Names are absolute, modes and times zero, as upstream; messages of about 1 MiB were the fastest in our measurements.
Most of the time for small files goes into headers, so that of a file with a short name is the same for all but in
name, size and sum.

Read next: file_service.py.
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterable, Iterator

from pachlet.pfs.files import Files
from pachlet.storage.entries import Entry
from pachlet.storage.fileset import FileSet, Info

_BLOCK = 1 << 20
_RECORD = 512
_SIZE, _SUM = slice(124, 136), slice(148, 156)  # where a header has them
_LARGEST = 8 << 30  # sizes from here on are written another way


def tar_blocks(files: Files, fileset: FileSet, infos: Iterable[Info], tag: str = "") -> Iterator[bytes]:
    """Yield the tar of some files and of directories with all below them, in blocks of about 1 MiB."""
    buffer = bytearray()
    for piece in _pieces(files, fileset, infos, tag):
        buffer += piece
        if len(buffer) >= _BLOCK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _pieces(files: Files, fileset: FileSet, infos: Iterable[Info], tag: str) -> Iterator[bytes]:
    for info in infos:
        if info.is_dir:
            entries = fileset.entries(info.path, tag or None)
            yield _folder_header(info.path)
        else:
            entries = iter(fileset.file(info.path, tag or None))
        folder = info.path
        for path, group in itertools.groupby(entries, key=lambda entry: entry.path):
            if info.is_dir and path.rpartition("/")[0] + "/" != folder:
                yield from map(_folder_header, _entered(folder, path))
                folder = path.rpartition("/")[0] + "/"
            yield from _file(files, path, list(group))
    yield bytes(2 * _RECORD)


def _entered(folder: str, path: str) -> Iterator[str]:
    """Yield the directories of `path` that `folder` is not in, from the outside in."""
    at = path.find("/", 1)
    while at >= 0:
        if not folder.startswith(path[: at + 1]):
            yield path[: at + 1]
        at = path.find("/", at + 1)


def _file(files: Files, path: str, entries: list[Entry]) -> Iterator[bytes]:
    size = sum(each.content.size for each in entries)
    yield _file_header(path.encode(), size)
    for entry in entries:
        yield from files.read(entry.content)
    yield bytes(-size % _RECORD)


def _header(path: str, size: int, type: bytes) -> bytes:
    header = tarfile.TarInfo(path)
    header.mode = 0
    header.type = type
    header.size = size
    return header.tobuf(tarfile.GNU_FORMAT)


def _folder_header(path: str) -> bytes:
    return _header(path, 0, tarfile.DIRTYPE)


_PLAIN = bytearray(_header("", 0, tarfile.REGTYPE))
_PLAIN[_SIZE] = bytes(12)
_PLAIN[_SUM] = b" " * 8
_PLAIN_SUM = sum(_PLAIN)


def _file_header(path: bytes, size: int) -> bytes:
    if len(path) > 100 or size >= _LARGEST:
        return _header(path.decode(), size, tarfile.REGTYPE)
    header, digits = bytearray(_PLAIN), b"%011o\0" % size
    header[: len(path)] = path
    header[_SIZE] = digits
    header[_SUM] = b"%06o\0 " % (_PLAIN_SUM + sum(path) + sum(digits))
    return bytes(header)
