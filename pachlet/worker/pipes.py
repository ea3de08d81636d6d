"""Feed lazy inputs: a step sees each as a named pipe, and what is in the file is read when the step opens it.

A pipe that nobody opens costs a look now and then, a step that closes one early has read what it wanted, and a file
may be read again: as soon as a pipe is opened for reading a new one takes its place. (One that two processes open at
the same moment is shared between them, as on a Pachyderm cluster.)

Read next: layout.py (who lays them out), working.py (between what they are fed).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pachlet.worker.head import InputFile

_SHORTEST, _LONGEST = 0.001, 0.05
_PATIENCE = 20
"""Looks take a twentieth of the time at most."""
_WAIT_MS = 100


class LazyPipes:
    """The pipes that lie in one session's folder."""

    def __init__(self, pfs: Path) -> None:
        self._pfs = pfs
        self._spare = str(pfs.parent / ".spare-pipe")
        self._files: dict[str, Callable[[], Iterator[bytes]]] = {}
        self._stop = threading.Event()
        self._feeders: list[threading.Thread] = []
        self._fail: Callable[[str], None] = lambda reason: None

    def add(self, file: InputFile, read: Callable[[], Iterator[bytes]]) -> None:
        """Lay out a pipe for a file whose bytes `read` gives, in a thread and perhaps several times."""
        os.mkfifo(self._pfs / file.path, 0o644)
        self._files[file.path] = read

    def remove_all(self) -> None:
        """Remove the pipes that are laid out."""
        for path in self._files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._pfs / path)
        self.forget()

    def forget(self) -> None:
        """The pipes are gone with the folder that they were in."""
        self._files.clear()

    @contextlib.contextmanager
    def fed(self, fail: Callable[[str], None]) -> Iterator[None]:
        """Feed whoever opens a pipe while the block runs; `fail` gets the reason if a file can't be read."""
        if not self._files:
            yield
            return
        self._fail = fail
        self._stop.clear()
        watcher = threading.Thread(target=self._watch, name="lazy-inputs", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._stop.set()
            watcher.join()
            for feeder in self._feeders:
                feeder.join()
            self._feeders.clear()

    def _watch(self) -> None:
        pause = _SHORTEST
        while not self._stop.wait(pause):
            started = time.monotonic()
            opened = [path for path in self._files if self._try(path)]
            looked = time.monotonic() - started
            pause = _SHORTEST if opened else max(min(pause * 1.5, _LONGEST), looked * _PATIENCE)

    def _try(self, path: str) -> bool:
        """Begin to feed a pipe if somebody waits at its other end."""
        place = str(self._pfs / path)
        try:
            pipe = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as problem:
            if problem.errno not in (errno.ENXIO, errno.ENOENT):
                self._fail(f"/pfs/{path} can't be fed: {problem.strerror}")
            return False
        os.mkfifo(self._spare, 0o644)
        os.rename(self._spare, place)
        feeder = threading.Thread(target=self._feed, args=(pipe, path, self._files[path]), daemon=True)
        self._feeders.append(feeder)
        feeder.start()
        return True

    def _feed(self, pipe: int, path: str, read: Callable[[], Iterator[bytes]]) -> None:
        try:
            for block in read():
                if not self._write(pipe, block):
                    return
        except Exception as problem:  # the step must not take what it got for the whole
            self._fail(f"/pfs/{path} can't be read: {problem}")
        finally:
            os.close(pipe)

    def _write(self, pipe: int, block: bytes) -> bool:
        """Write a block; return False if nobody wants any more."""
        view = memoryview(block)
        poll = select.poll()
        poll.register(pipe, select.POLLOUT)
        while view:
            try:
                view = view[os.write(pipe, view) :]
            except BlockingIOError:
                if self._stop.is_set():
                    return False
                poll.poll(_WAIT_MS)
            except BrokenPipeError:
                return False
        return True
