"""Wait for the database to change.

Everything that waits in the engine (a client for a commit, the scheduler for a job) re-reads what it waits for after
each change, so no event can be lost and none has to be described.

Read next: connect.py (who announces changes).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class Closed(Exception):
    """The engine stops, or the caller has gone away: nobody needs the answer any more."""


class Changes:
    """A counter of changes that threads can wait on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0
        self._closed = False
        self.before_waiting: Callable[[], None] = lambda: None
        """Called in the thread that is about to wait; may raise instead."""

    @property
    def count(self) -> int:
        """The number of changes so far; take it before reading, pass it to `wait` after."""
        return self._count

    @property
    def is_closed(self) -> bool:
        """Tell whether the engine stops."""
        return self._closed

    def announce(self) -> None:
        """Wake everyone who waits."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def close(self) -> None:
        """Make every wait, present and future, raise Closed."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait(self, seen: int, timeout: float | None = None) -> None:
        """Return when there was a change after `seen`, or after `timeout` seconds; raise Closed when closed."""
        self.before_waiting()
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._count != seen, timeout)
            if self._closed:
                raise Closed

    def rest(self, seconds: float) -> None:
        """Return after so many seconds, whatever changes; raise Closed when closed."""
        with self._condition:
            if self._condition.wait_for(lambda: self._closed, seconds):
                raise Closed

    def until(self, look: Callable[[], Found | None], is_active: Callable[[], bool] = lambda: True) -> Found:
        """Call `look` after each change until it answers; raise Closed when `is_active` turns false."""
        while True:
            seen = self._count
            found = look()
            if found is not None:
                return found
            if not is_active():
                raise Closed
            self.wait(seen, timeout=1.0)
