"""A lock that is given to those who wait in the order in which they came.

Python's own lock goes to whoever is fastest, and a thread that has just released it is faster than one that has to be
woken: whoever writes much in many small transactions would keep all others waiting until it is done.

Read next: connect.py (who waits).
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """The lock, for `with`; not to be taken twice by one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many threads wait for it."""
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *error: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()  # handed over: it stays taken
            else:
                self._is_taken = False
