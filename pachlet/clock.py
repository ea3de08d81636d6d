"""The engine's only clock, so that tests can set it.

Times are integers: nanoseconds since 1970 UTC, the precision of a protobuf Timestamp. They strictly increase within a
process, because upstream orders commits and jobs by their times and two of them must never tie.

Read next: metadb/schema.sql (what is stamped).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

_NANOS = 1_000_000_000


def in_words(nanoseconds: int) -> str:
    """Return a time as RFC 3339 has it, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, _NANOS)
    return f"{_second(seconds)}.{rest:09}Z"


@lru_cache(maxsize=64)  # most are asked for of one second and the next
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


class Clock:
    """Real time that never stands still or goes back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def now(self) -> int:
        """Return nanoseconds since 1970 UTC, greater than at any call before."""
        with self._lock:
            self._last = max(self._read(), self._last + 1)
            return self._last

    def on_jump(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when time jumps, so that who waits for a time looks again; real time never does."""

    def _read(self) -> int:
        return time.time_ns()


class FakeClock(Clock):
    """A clock that moves only when it is told to (and by a nanosecond at each reading)."""

    def __init__(self, start: int = 1_700_000_000_000_000_001) -> None:
        super().__init__()
        self._time = start
        self._listeners: list[Callable[[], None]] = []

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, and wake whoever waits for a time."""
        self._time += int(seconds * 1e9)
        for wake in self._listeners:
            wake()

    def on_jump(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after each `advance`."""
        self._listeners.append(wake)

    def _read(self) -> int:
        return self._time
