"""Write files of a commit to the server's own machine, for a client that could write them there itself.

A folder that is not there yet comes into being with all its files or not at all; in one that is there each file
is whole or not there. Small files are read many at a time, and made by other processes while the next are read: making
a file takes the kernel longer than finding its bytes takes us, and both cores can make files.

Read next: nonces.py (the proof), file_makers.py (the processes), local_source.py (the other direction).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

from pachlet.api.file_makers import FileMakers, NewFiles, Write, cannot_write
from pachlet.api.new_files import beside, create, replace
from pachlet.api.nonces import Transfer
from pachlet.errors import InvalidArgument
from pachlet.pfs.batches import in_batches
from pachlet.pfs.files import Files
from pachlet.storage.chunker import MAX_SIZE
from pachlet.storage.entries import Entry

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
            replace(path, self._counted(blocks))
        self._transfer.files += 1

    def write_folder(self, folder: str, entries: Iterable[Entry], prefix: str) -> None:
        """Write files below a folder, where each keeps its path without `prefix`."""
        with _named(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
        if os.path.lexists(folder):
            self._write_all(folder, entries, prefix, replace)
            return
        scratch = beside(folder)
        try:
            self._write_all(scratch, entries, prefix, create)
            with _named(folder):
                if os.path.lexists(scratch):  # not where there were no files
                    os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _write_all(self, folder: str, entries: Iterable[Entry], prefix: str, write: Write) -> None:
        place_of = _Places(folder, prefix).of
        with FileMakers(write, self._count) as makers:
            for some in in_batches(self._files, entries):
                self._check()
                makers.make([(place_of(path), data) for path, data, _ in some if data is not None])
                for path, data, parts in some:
                    if data is None:
                        blocks = itertools.chain.from_iterable(map(self.read, parts))
                        place = place_of(path)
                        with _named(place):
                            write(place, self._counted(blocks))
                        self._transfer.files += 1

    def _count(self, files: NewFiles) -> None:
        self._transfer.files += len(files)
        self._transfer.bytes += sum(len(data) for _, data in files)

    def _counted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._check()
            yield block
            self._transfer.bytes += len(block)


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


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None
