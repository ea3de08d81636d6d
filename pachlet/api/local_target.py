"""Write files of a commit to the server's own machine, for a client that could write them there itself.

A folder that is not there yet comes into being with all its files or not at all; in one that is there each file
is whole or not there. Small files are read many at a time, and written by threads while the next are read: making a
file takes the kernel longer than finding its bytes takes us, and both cores can make files.

Read next: nonces.py (the proof), local_source.py (the other direction).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from urllib.parse import unquote

from pachlet.api.nonces import Transfer
from pachlet.errors import InvalidArgument, Refused
from pachlet.pfs.files import Files
from pachlet.storage.chunker import MAX_SIZE
from pachlet.storage.entries import Entry
from pachlet.storage.together import read_together

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STRETCH = 16 << 20
_SMALL = 64 << 10
"""A longer file is read when its turn comes."""
_MOST_TOGETHER = 256
_ROOM = 4 << 20  # bytes
_WRITERS = 2
_UNDER_WAY = 4
"""So many times `_MOST_TOGETHER` files are in memory at most."""

_Write = Callable[[str, Iterable[bytes]], None]
_File = tuple[str, bytes, list[Entry]]
"""Path, hash of the only chunk if it is small, and what each datum wrote of it."""

_PREFIX = "prefix="


def prefix_of(query: str) -> str:
    """Return what a URL's query says to leave out of files' paths, such as `prefix=/a/b/`; raise InvalidArgument."""
    if query and not query.startswith(_PREFIX):
        raise InvalidArgument(
            f"the URL asks for {query}", hint=f"file:// URLs to write to know ?{_PREFIX} only"
        )
    return unquote(query.removeprefix(_PREFIX))


class Target:
    """Where one call writes; `check` raises when nobody waits for it any more."""

    def __init__(self, files: Files, transfer: Transfer, check: Callable[[], None]) -> None:
        self._files = files
        self._transfer = transfer
        self._check = check

    def read(self, entry: Entry) -> Iterator[bytes]:
        """Yield the bytes of a file in the blocks that are the fastest to write: as they are stored."""
        return self._files.read(entry.content, block=MAX_SIZE)

    def write_file(self, path: str, blocks: Iterable[bytes]) -> None:
        """Write one file, replacing what is there only when it is whole."""
        with _named(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _replace(path, self._counted(blocks))
        self._transfer.files += 1

    def write_folder(self, folder: str, entries: Iterable[Entry], prefix: str) -> None:
        """Write files below a folder, where each keeps its path without `prefix`."""
        with _named(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
        if os.path.lexists(folder):
            self._write_all(folder, entries, prefix, _replace)
            return
        scratch = _beside(folder)
        try:
            self._write_all(scratch, entries, prefix, _create)
            with _named(folder):
                if os.path.lexists(scratch):  # not where there were no files
                    os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _write_all(self, folder: str, entries: Iterable[Entry], prefix: str, write: _Write) -> None:
        writers, under_way = ThreadPoolExecutor(_WRITERS, "get"), deque[Future[tuple[int, int]]]()
        place_of = _Places(folder, prefix).of
        try:
            for some in _some_at_a_time(entries):
                found = self._read_together(some)
                small = [(place_of(path), found[digest]) for path, digest, _ in some if digest in found]
                under_way.append(writers.submit(self._write_small, small, write))
                for path, digest, parts in some:
                    if digest not in found:  # large, empty, or not where it should be, which reading it tells
                        blocks = itertools.chain.from_iterable(map(self.read, parts))
                        place = place_of(path)
                        with _named(place):
                            write(place, self._counted(blocks))
                        self._transfer.files += 1
                while len(under_way) == _UNDER_WAY:
                    self._count(under_way.popleft())
            while under_way:
                self._count(under_way.popleft())
        finally:
            writers.shutdown(cancel_futures=True)  # then nobody writes to what is to be removed

    def _read_together(self, some: Iterable[_File]) -> dict[bytes, bytes]:
        """Return the chunks of small files; one that is not where it should be is left out."""
        wanted = [digest for _, digest, _ in some if digest]
        store = self._files.store
        return read_together(store, store.find_all_published(wanted)) if wanted else {}

    def _write_small(self, files: Sequence[tuple[str, bytes]], write: _Write) -> tuple[int, int]:
        """Write files, in a thread of its own; return how many, and how many bytes."""
        for path, data in files:
            self._check()
            try:
                write(path, (data,))
            except OSError as error:
                raise _cannot_write(path, error) from None
        return len(files), sum(len(data) for _, data in files)

    def _count(self, written: Future[tuple[int, int]]) -> None:
        files, size = written.result()
        self._transfer.files += files
        self._transfer.bytes += size

    def _counted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._check()
            yield block
            self._transfer.bytes += len(block)


def _some_at_a_time(entries: Iterable[Entry]) -> Iterator[list[_File]]:
    """Yield files, so many at a time as are read together."""
    some: list[_File] = []
    room = _ROOM
    for path, group in groupby(entries, key=lambda entry: entry.path):
        parts = list(group)
        content = parts[0].content
        is_small = len(parts) == len(content.chunks) == 1 and content.size <= _SMALL
        some.append((path, content.chunks[0][0] if is_small else b"", parts))
        room -= content.size if is_small else 0
        if room < 0 or len(some) == _MOST_TOGETHER:
            yield some
            some, room = [], _ROOM
    if some:
        yield some


class _Places:
    """Where files go that are written below a folder."""

    def __init__(self, folder: str, prefix: str) -> None:
        self._folder, self._prefix, self._made = folder, prefix, ""

    def of(self, path: str) -> str:
        """Return the place of a file; from then on the folder that it is in is there."""
        place = f"{self._folder}/{path.removeprefix(self._prefix).lstrip('/')}"
        parent = os.path.dirname(place)
        if parent != self._made:
            with _named(place):
                os.makedirs(parent, exist_ok=True)
            self._made = parent
        return place


def _replace(path: str, blocks: Iterable[bytes]) -> None:
    scratch = _beside(path)
    try:
        _create(scratch, blocks)
        os.replace(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


def _create(path: str, blocks: Iterable[bytes]) -> None:
    handle = os.open(path, _NEW, 0o666)
    written = begun = 0
    try:
        for block in blocks:
            _write(handle, block)
            written += len(block)
            if written - begun >= _STRETCH:
                # Has the disk begin with what it will have to write anyway, while we read on.
                os.posix_fadvise(handle, begun, written - begun, os.POSIX_FADV_DONTNEED)
                begun = written
    finally:
        os.close(handle)


def _write(handle: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(handle, view) :]


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".get-{secrets.token_hex(8)}")


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: str, error: OSError) -> Refused:
    return Refused(f"cannot write {path}: {error.strerror or error}")
