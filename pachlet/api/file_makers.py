"""Processes that make small files for us, while we read the next.

Making a file is three short calls to the kernel, and around each of them a thread gives Python's global lock away and
waits to have it back: with two threads that made files and one that read, a third of the time went into that. A process
of its own has a lock of its own.

Read next: new_files.py (its program), local_target.py (who has files made).
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import IO

from pachlet.api import new_files
from pachlet.errors import Refused, Unavailable

_PROCESSES = 2
_UNDER_WAY = 4
"""So many requests are in memory at most."""
_WORTH_IT = 128
"""So many files at one go, and probably more to come, are worth the start of processes."""
_PIPE = 1 << 20  # bytes; what a request of small files takes, so that we need not wait while it is read

NewFiles = Sequence[tuple[str, bytes]]
"""Path and content of each."""
Write = Callable[[str, Iterable[bytes]], None]


class FileMakers:
    """The processes of one call; where there can be none, and for few files, the work is done here."""

    def __init__(self, write: Write, done: Callable[[NewFiles], None]) -> None:
        """Say how files are to be made, and who is told of those that are."""
        self._write, self._done = write, done
        self._processes: deque[subprocess.Popen[bytes]] | None = None
        self._under_way: deque[tuple[subprocess.Popen[bytes], NewFiles]] = deque()

    def __enter__(self) -> FileMakers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Wait for all that was begun; from then on nobody makes anything."""
        try:
            while error is None and self._under_way:
                self._finish()
        finally:
            for process in self._processes or ():
                with process:
                    _input(process).close()
                    process.wait()

    def make(self, files: NewFiles) -> None:
        """Make files, now or before the block ends.

        Raises:
            Refused: one of these, or of those before, can't be made.
            Unavailable: a process ended.
        """
        if self._processes is None and len(files) >= _WORTH_IT:
            self._processes = _start(self._write)
        if self._processes:
            if len(self._under_way) == _UNDER_WAY:
                self._finish()
            self._processes.rotate()
            self._begin(self._processes[0], files)
            return
        for path, data in files:
            try:
                self._write(path, (data,))
            except OSError as error:
                raise cannot_write(path, error) from None
        self._done(files)

    def _begin(self, process: subprocess.Popen[bytes], files: NewFiles) -> None:
        request = marshal.dumps(list(files))
        left = memoryview(len(request).to_bytes(new_files.LENGTH, "little") + request)
        try:
            while left:
                left = left[_input(process).write(left) :]
        except BrokenPipeError:
            raise _ended() from None
        self._under_way.append((process, files))

    def _finish(self) -> None:
        """Wait for the files that were begun first."""
        process, files = self._under_way.popleft()
        assert process.stdout is not None
        answer = process.stdout.read(2 * new_files.NUMBER)
        if not answer:
            raise _ended()
        number = int.from_bytes(answer[: new_files.NUMBER], "little")
        if number:
            made = int.from_bytes(answer[new_files.NUMBER :], "little")
            raise cannot_write(files[made][0], OSError(number, os.strerror(number)))
        self._done(files)


def cannot_write(path: str, error: OSError) -> Refused:
    """Return the error that names a file which can't be written, and why."""
    return Refused(f"cannot write {path}: {error.strerror or error}")


def _ended() -> Unavailable:
    return Unavailable("a process that made files ended before its time", hint="try again")


def _start(write: Write) -> deque[subprocess.Popen[bytes]]:
    """Start processes, as many as there can be."""
    started: deque[subprocess.Popen[bytes]] = deque()
    with contextlib.suppress(OSError):  # too many, or no memory
        for _ in range(_PROCESSES):
            started.append(_process(write))
    return started


def _process(write: Write) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", new_files.__file__, write.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={},
        process_group=0,  # Ctrl-C at a terminal is for the server, which then decides
    )
    with contextlib.suppress(OSError):  # a user may have only so much memory in pipes
        fcntl.fcntl(_input(process), fcntl.F_SETPIPE_SZ, _PIPE)
    return process


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin
