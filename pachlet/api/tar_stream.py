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
from functools import lru_cache
from operator import attrgetter

from pachlet.pfs.batches import Batched, in_batches
from pachlet.pfs.files import Files
from pachlet.storage.fileset import FileSet, Info

_BLOCK = 1 << 20
_RECORD = 512
_NAME, _SUM = 100, slice(148, 156)  # of a header: how long the name may be, and where the sum is
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
    for is_dir, group in itertools.groupby(infos, key=attrgetter("is_dir")):
        if is_dir:
            for info in group:
                yield _folder_header(info.path)
                yield from _below(files, fileset, info.path, tag)
        else:
            entries = (each for info in group for each in fileset.file(info.path, tag or None))
            for some in in_batches(files, entries):
                for each in some:
                    yield from _file(files, each)
    yield bytes(2 * _RECORD)


def _below(files: Files, fileset: FileSet, folder: str, tag: str) -> Iterator[bytes]:
    for some in in_batches(files, fileset.entries(folder, tag or None)):
        for each in some:
            if (parent := each.path[: each.path.rindex("/") + 1]) != folder:
                yield from map(_folder_header, _entered(folder, parent))
                folder = parent
            yield from _file(files, each)


def _entered(folder: str, path: str) -> Iterator[str]:
    """Yield the directories of `path` that `folder` is not in, from the outside in."""
    at = path.find("/", 1)
    while at >= 0:
        if not folder.startswith(path[: at + 1]):
            yield path[: at + 1]
        at = path.find("/", at + 1)


def _file(files: Files, file: Batched) -> Iterator[bytes]:
    if file.data is not None:
        size = len(file.data)
        yield b"%b%b%b" % (_file_header(file.path.encode(), size), file.data, bytes(-size % _RECORD))
        return
    size = sum(each.content.size for each in file.entries)
    yield _file_header(file.path.encode(), size)
    for entry in file.entries:
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


_AFTER_SUM = _header("", 0, tarfile.REGTYPE)[_SUM.stop :]


def _file_header(path: bytes, size: int) -> bytes:
    if len(path) > _NAME or size >= _LARGEST:
        return _header(path.decode(), size, tarfile.REGTYPE)
    middle, total = _of_size(size)
    return b"%b%b%06o\0 %b" % (path.ljust(_NAME, b"\0"), middle, total + sum(path), _AFTER_SUM)


@lru_cache(maxsize=1024)
def _of_size(size: int) -> tuple[bytes, int]:
    """Return what is between name and sum in the header of a file of so many bytes, and the sum of one with no name."""
    header = _header("", size, tarfile.REGTYPE)
    return header[_NAME : _SUM.start], sum(header[: _SUM.start]) + sum(header[_SUM.stop :]) + sum(b" " * 8)
