"""Lay out the input files of a datum, and leave where they are those that lie there already.

A session is used for datum after datum. What the next one reads is often what the last one read: a model, a table of
parameters, or all but ten of a thousand files where a job goes on with what changed. In a sandbox a step can't write
to its inputs, so what was laid out is still what it was. Without one it could have, and everything is written anew.

Read next: head.py (where the files come from), session.py (whose folder it is).
"""

from __future__ import annotations

import fcntl
import functools
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pachlet.worker.head import InputFile
from pachlet.worker.pipes import LazyPipes
from pachlet.worker.scratch import make_apart, remove

_OURS = ("out", ".env")
Read = Callable[[Sequence[InputFile]], Iterator[tuple[InputFile, Iterator[bytes]]]]
"""Yields files with their bytes, in the order asked for."""
KEPT_BYTES = 1 << 30
"""No more than this is left lying in a session that has nothing to do."""


class Layout:
    """What lies in the folder that a session shows as /pfs."""

    def __init__(self, pfs: Path) -> None:
        self._pfs = str(pfs)
        self._lying: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._size = 0
        self.pipes = LazyPipes(pfs)
        """The lazy inputs among what lies there."""

    def forget(self) -> None:
        """Trust nothing that lies there any more; somebody emptied the folder, or may have written to it."""
        self._lying.clear()
        self._folders.clear()
        self._size = 0
        self.pipes.forget()

    def lay_out(self, wanted: Iterable[InputFile], read: Read) -> None:
        """Make the folder hold these files and no others; `read` is asked for those that are not there.

        A new file is written over an old one of its folder that nobody has open: that is cheaper than removing the one
        and making the other, for which a file system may have to search.
        """
        self.pipes.remove_all()
        files = {each.path: each for each in wanted}
        kept = {path: each.key for path, each in files.items() if not each.is_lazy}
        stale = [path for path, key in self._lying.items() if kept.get(path) != key]
        for path in stale:
            del self._lying[path]
        missing = [each for path, each in files.items() if path not in self._lying and not each.is_lazy]
        written_over = _pair(stale, [each.path for each in missing])
        for path in set(stale) - set(written_over.values()):
            os.unlink(f"{self._pfs}/{path}")
        self._drop_empty_folders(files)
        if missing:
            try:
                for each, blocks in read(missing):
                    self._write(each, blocks, written_over.get(each.path))
            except BaseException:
                self.clear()  # half a file, or one to be written over, must not be taken for a whole one
                raise
        for each in files.values():
            if each.is_lazy:
                self._make_folders(each)
                self.pipes.add(each, functools.partial(_bytes_of, each, read))
        self._size = sum(each.size for each in files.values() if not each.is_lazy)

    def rest(self) -> None:
        """Get ready to be unused for a while."""
        if self._size > KEPT_BYTES:
            self.clear()

    def _drop_empty_folders(self, files: dict[str, InputFile]) -> None:
        needed = {folder for path in files for folder in _above(path)}
        for folder in sorted(self._folders - needed, reverse=True):
            os.rmdir(f"{self._pfs}/{folder}")
            self._folders.discard(folder)

    def _make_folders(self, file: InputFile) -> None:
        for folder in reversed(_above(file.path)):
            if folder not in self._folders:
                at = f"{self._pfs}/{folder}"
                os.mkdir(at) if "/" in folder else make_apart(Path(at))
                self._folders.add(folder)

    def _write(self, file: InputFile, blocks: Iterator[bytes], over: str | None) -> None:
        self._make_folders(file)
        path = f"{self._pfs}/{file.path}"
        descriptor = None
        if over is not None:
            descriptor = _open_alone(f"{self._pfs}/{over}")
            if descriptor is None:
                os.unlink(f"{self._pfs}/{over}")
            elif over != file.path:
                os.rename(f"{self._pfs}/{over}", path)
        is_new = descriptor is None
        if descriptor is None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            written = 0
            for block in blocks:
                view = memoryview(block)
                while view:
                    view = view[os.write(descriptor, view) :]
                written += len(block)
            if not is_new:  # at the end: ext4 writes a file out at once that was emptied first
                os.truncate(descriptor, written)
        finally:
            os.close(descriptor)
        self._lying[file.path] = file.key

    def clear(self) -> None:
        """Remove everything but what is the session's own."""
        self.forget()
        for name in os.listdir(self._pfs):
            if name not in _OURS:
                remove(Path(self._pfs, name))


def _pair(old: Iterable[str], new: Iterable[str]) -> dict[str, str]:
    """Return for new paths the old one to write over: itself, or one in the same folder."""
    left = set(old)
    pairs = {path: path for path in new if path in left}
    left -= pairs.keys()
    by_folder: dict[str, list[str]] = {}
    for path in left:
        by_folder.setdefault(path.rpartition("/")[0], []).append(path)
    for path in new:
        if path not in pairs and (found := by_folder.get(path.rpartition("/")[0])):
            pairs[path] = found.pop()
    return pairs


def _open_alone(path: str) -> int | None:
    """Open a file for writing; None if a process has it open, or mapped into its memory, or that can't be known.

    A process that stays from datum to datum may go on with what it opened. The kernel gives a lease on a file to
    its only opener.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:  # a process runs it
        return None
    try:
        fcntl.fcntl(
            descriptor, fcntl.F_SETSIG, signal.SIGURG
        )  # which ends nobody, should one open it right now
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _bytes_of(file: InputFile, read: Read) -> Iterator[bytes]:
    for _, blocks in read([file]):
        yield from blocks


def _above(path: str) -> list[str]:
    """Return the folders above a path, the nearest first."""
    found = []
    while (at := path.rfind("/")) > 0:
        path = path[:at]
        found.append(path)
    return found
