"""Write files of a commit to the server's own machine, for a client that could write them there itself.

A folder that is not there yet comes into being with all its files or not at all; in one that is there each file
is whole or not there.

Read next: nonces.py (the proof), local_source.py (the other direction).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from urllib.parse import unquote

from pachlet.api.nonces import Transfer
from pachlet.errors import InvalidArgument, Refused
from pachlet.pfs.files import Files
from pachlet.storage.entries import Entry

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STRETCH = 16 << 20


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

    def write_file(self, path: str, blocks: Iterable[bytes]) -> None:
        """Write one file, replacing what is there only when it is whole."""
        with _named(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._replace(path, blocks)

    def write_folder(self, folder: str, entries: Iterable[Entry], prefix: str) -> None:
        """Write files below a folder, where each keeps its path without `prefix`."""
        with _named(folder):
            os.makedirs(os.path.dirname(folder), exist_ok=True)
        if os.path.lexists(folder):
            self._write_all(folder, entries, prefix, self._replace)
            return
        scratch = _beside(folder)
        try:
            self._write_all(scratch, entries, prefix, self._create)
            with _named(folder):
                if os.path.lexists(scratch):  # not where there were no files
                    os.rename(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _write_all(
        self,
        folder: str,
        entries: Iterable[Entry],
        prefix: str,
        write: Callable[[str, Iterable[bytes]], None],
    ) -> None:
        made = ""
        for path, parts in groupby(entries, key=lambda entry: entry.path):
            place = f"{folder}/{path.removeprefix(prefix).lstrip('/')}"
            with _named(place):
                parent = os.path.dirname(place)
                if parent != made:
                    os.makedirs(parent, exist_ok=True)
                    made = parent
                write(place, (block for part in parts for block in self._files.read(part.content)))

    def _replace(self, path: str, blocks: Iterable[bytes]) -> None:
        scratch = _beside(path)
        try:
            self._create(scratch, blocks)
            os.replace(scratch, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            raise

    def _create(self, path: str, blocks: Iterable[bytes]) -> None:
        handle = os.open(path, _NEW, 0o666)
        written = begun = 0
        try:
            for block in blocks:
                self._check()
                _write(handle, block)
                self._transfer.bytes += len(block)
                written += len(block)
                if written - begun >= _STRETCH:
                    # Has the disk begin with what it will have to write anyway, while we read on.
                    os.posix_fadvise(handle, begun, written - begun, os.POSIX_FADV_DONTNEED)
                    begun = written
        finally:
            os.close(handle)
        self._transfer.files += 1


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
        raise Refused(f"cannot write {path}: {error.strerror or error}") from None
