"""Keep the log lines of jobs: of user code, and of the engine about it.

Lines are gathered in memory and written in batches, at the latest when their datum is recorded; they are kept as long
as their job, whatever becomes of the worker. What one attempt prints is kept up to a limit, its beginning and its
end: a step that prints without a pause must not fill the disk.

Read next: running.py (who writes), api/log_service.py (who reads).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import NamedTuple

from pachlet.clock import Clock
from pachlet.errors import PachletError
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements

log = logging.getLogger(__name__)
_FLUSH_SECONDS = 0.2
_FLUSH_LINES = 1000
_FLUSH_SIZE = 1 << 20
_KEPT_SIZE = 1 << 20
_KEPT_LINES = 10_000


class Source(NamedTuple):
    """Whose lines they are; `datum` is '' for lines about the job as a whole."""

    pipeline: int
    job: str
    datum: str = ""
    worker: str = ""


def write_line(db: Statements, source: Source, message: str, time: int) -> None:
    """Write one line about a pipeline or job as a whole, in the caller's transaction."""
    db.many("add_log", [(time, source.pipeline, source.job, source.datum, source.worker, 1, 0, message)])


class Logbook:
    """Collects lines and writes them to the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[tuple[object, ...]] = []
        self._size = 0
        self._since = 0.0  # when the first of the lines was added
        self._flushing = threading.Lock()  # lines reach the database in the order in which they were added
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._flush_steadily, name="logbook", daemon=True)
        self._thread.start()

    @contextmanager
    def attempt(self, source: Source) -> Iterator[AttemptLog]:
        """Take what user code prints while the block runs."""
        lines = self.begin_attempt(source)
        try:
            yield lines
        finally:
            lines.end()

    def begin_attempt(self, source: Source) -> AttemptLog:
        """Return what takes the lines that user code prints; the caller ends it."""
        return AttemptLog(self, self._clock, source)

    def user(self, source: Source, message: str, time: int | None = None) -> None:
        """Add a line that user code printed, now or at `time`."""
        self._add(source, message, is_master=False, is_user=True, time=time)

    def worker(self, source: Source, message: str) -> None:
        """Add a line about the work on a datum."""
        self._add(source, message, is_master=False, is_user=False)

    def master(self, source: Source, message: str) -> None:
        """Add a line about a job as a whole."""
        self._add(source, message, is_master=True, is_user=False)

    def _add(
        self, source: Source, message: str, *, is_master: bool, is_user: bool, time: int | None = None
    ) -> None:
        line = (
            self._clock.now() if time is None else time,
            source.pipeline,
            source.job,
            source.datum,
            source.worker,
            int(is_master),
            int(is_user),
            message,
        )
        with self._lock:
            if not self._lines:
                self._since = monotonic()
            self._lines.append(line)
            self._size += len(message)
            is_full = len(self._lines) >= _FLUSH_LINES or self._size >= _FLUSH_SIZE
        if not self._wake.is_set():
            self._wake.set()
        if is_full:
            self.flush()

    def trim(self, source: Source, kept: int) -> None:
        """Forget all but the last lines that user code printed as `source`."""
        self.flush()
        with self._database.write() as db:
            db.run("trim_logs", pipeline=source.pipeline, job=source.job, kept=kept)

    def flush(self) -> None:
        """Write what was added so far."""
        with self._flushing:
            with self._lock:
                if not self._lines:
                    return
            with self._database.write() as db:
                self.write(db)

    def write(self, db: Statements) -> None:
        """Write what was added so far with all else that a transaction writes, which saves waiting for the disk twice.

        To be called last in it: lines of a transaction that fails are lost.
        """
        with self._lock:
            lines, self._lines, self._size = self._lines, [], 0
        db.many("add_log", lines)

    def _flush_steadily(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            # Let a burst gather. Where datums are recorded all the time, it is written with them.
            while (left := self._left()) > 0 and not self._closing.wait(left):
                pass
            try:
                self.flush()
            except PachletError as error:  # lines are lost, which is no reason to stop
                log.error("log lines of jobs were lost: %s", error)

    def _left(self) -> float:
        """Return for how many seconds the lines may wait."""
        with self._lock:
            return self._since + _FLUSH_SECONDS - monotonic() if self._lines else 0.0

    def close(self) -> None:
        """Write what is left and stop."""
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self.flush()


class AttemptLog:
    """What user code prints in one attempt: the first and the last 1 MiB, at most 10,000 lines each."""

    def __init__(self, logbook: Logbook, clock: Clock, source: Source) -> None:
        self._logbook = logbook
        self._clock = clock
        self._source = source
        self._first = _Amount()
        self._last = _Amount()
        self._tail: deque[tuple[int, str]] = deque()
        self._left_out = _Amount()

    def add(self, line: str) -> None:
        """Take one line: write it, or hold it until it is known whether it is one of the last."""
        if not self._tail and self._first.has_room(line):
            self._first.add(line)
            self._logbook.user(self._source, line)
            return
        if not self._tail and not self._left_out.lines:
            self._logbook.worker(
                self._source,
                "user code prints much: what follows is shown when it ends, and only its last part",
            )
        while self._tail and not self._last.has_room(line):
            _, oldest = self._tail.popleft()
            self._last.remove(oldest)
            self._left_out.add(oldest)
        self._tail.append((self._clock.now(), line))
        self._last.add(line)

    def end(self) -> None:
        """Write the last lines."""
        if self._left_out.lines:
            left = self._left_out
            self._logbook.user(self._source, f"… {left.lines} lines ({left.size} bytes) left out")
        for time, line in self._tail:
            self._logbook.user(self._source, line, time)
        self._tail.clear()


class _Amount:
    """A number of lines and their size, newlines and all."""

    def __init__(self) -> None:
        self.lines = 0
        self.size = 0

    def has_room(self, line: str) -> bool:
        return self.lines < _KEPT_LINES and self.size + _size(line) <= _KEPT_SIZE

    def add(self, line: str) -> None:
        self.lines += 1
        self.size += _size(line)

    def remove(self, line: str) -> None:
        self.lines -= 1
        self.size -= _size(line)


def _size(line: str) -> int:
    return len(line.encode(errors="replace")) + 1
