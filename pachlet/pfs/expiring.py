"""Delete file sets whose time is over, so that the garbage collector gets what they kept.

One thread sleeps until the next one goes; it is woken when a file set is made or renewed, and when a test moves the
clock.

Read next: filesets.py.
"""

from __future__ import annotations

import logging
import threading

from pachlet.clock import Clock
from pachlet.errors import PachletError
from pachlet.metadb.connect import Database
from pachlet.pfs.filesets import FileSets

log = logging.getLogger(__name__)

_RETRY = 60.0  # seconds, on a full disk


class Expiry:
    """The thread that deletes file sets whose time is over."""

    def __init__(self, filesets: FileSets, clock: Clock) -> None:
        self._database: Database = filesets.database
        self._clock = clock
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)
        filesets.made = self._wake.set
        clock.on_jump(self._wake.set)

    def start(self) -> None:
        """Start watching; what expired while nobody served goes first."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def delete_expired(self) -> float | None:
        """Delete what has expired; return the seconds until the next does, None if none will."""
        with self._database.read() as db:
            due = db.value("next_expiry")
        if due is not None and due <= self._clock.now():
            with self._database.write() as db:
                db.run("delete_expired_filesets", now=self._clock.now())
                due = db.value("next_expiry")
        return None if due is None else max(0.0, (due - self._clock.now()) / 1e9)

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            try:
                left = self.delete_expired()
            except PachletError as error:
                log.warning("file sets that have expired could not be deleted: %s", error)
                left = _RETRY
            self._wake.wait(left)
