"""Keep the log lines of jobs: of user code, and of the engine about it.

Lines are gathered in memory and written in batches, at the latest when their datum is recorded; they are kept as long
as their job, whatever becomes of the worker.

Read next: running.py (who writes), api/log_service.py (who reads).
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from pachlet.clock import Clock
from pachlet.errors import PachletError
from pachlet.metadb.connect import Database

log = logging.getLogger(__name__)
_FLUSH_SECONDS = 0.2
_FLUSH_LINES = 1000


@dataclass(frozen=True)
class Source:
    """Whose lines they are; `datum` is '' for lines about the job as a whole."""

    pipeline: int
    job: str
    datum: str = ""
    worker: str = ""


class Logbook:
    """Collects lines and writes them to the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[tuple[object, ...]] = []
        self._flushing = threading.Lock()  # lines reach the database in the order in which they were added
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._flush_steadily, name="logbook", daemon=True)
        self._thread.start()

    def user(self, source: Source, message: str) -> None:
        """Add a line that user code printed."""
        self._add(source, message, is_master=False, is_user=True)

    def worker(self, source: Source, message: str) -> None:
        """Add a line about the work on a datum."""
        self._add(source, message, is_master=False, is_user=False)

    def master(self, source: Source, message: str) -> None:
        """Add a line about a job as a whole."""
        self._add(source, message, is_master=True, is_user=False)

    def _add(self, source: Source, message: str, *, is_master: bool, is_user: bool) -> None:
        line = (
            self._clock.now(),
            source.pipeline,
            source.job,
            source.datum,
            source.worker,
            int(is_master),
            int(is_user),
            message,
        )
        with self._lock:
            self._lines.append(line)
            is_full = len(self._lines) >= _FLUSH_LINES
        self._wake.set()
        if is_full:
            self.flush()

    def flush(self) -> None:
        """Write what was added so far."""
        with self._flushing:
            with self._lock:
                lines, self._lines = self._lines, []
            if lines:
                with self._database.write() as db:
                    db.many("add_log", lines)

    def _flush_steadily(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._closing.wait(_FLUSH_SECONDS)  # let a burst gather
            try:
                self.flush()
            except PachletError as error:  # lines are lost, which is no reason to stop
                log.error("log lines of jobs were lost: %s", error)

    def close(self) -> None:
        """Write what is left and stop."""
        self._closing.set()
        self._wake.set()
        self._thread.join()
        self.flush()
