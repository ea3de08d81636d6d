"""Do something at a time of the engine's clock.

Read next: running.py (whose jobs have a time limit), ../clock.py.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from pachlet.clock import Clock

log = logging.getLogger(__name__)
_NANOS = 1_000_000_000
_TIDY = 1000


class Alarm:
    """One thing to be done at a time."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], None]) -> None:
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        """Do not do it."""
        self.act = None


class Alarms:
    """A thread that waits for times; it is started when there is one to wait for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._times: list[tuple[int, int, Alarm]] = []
        self._tidy_at = _TIDY
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False
        clock.on_jump(self._look_again)

    def at(self, time: int, act: Callable[[], None]) -> Alarm:
        """Call `act` once it is `time`, or soon if it has been already. It should be quick."""
        alarm = Alarm(act)
        with self._changed:
            if len(self._times) >= self._tidy_at:  # most alarms are cancelled long before their time
                self._times = [each for each in self._times if each[2].act is not None]
                heapq.heapify(self._times)
                self._tidy_at = 2 * len(self._times) + _TIDY
            heapq.heappush(self._times, (time, next(self._numbers), alarm))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return alarm

    def close(self) -> None:
        """Let no alarm go off any more."""
        self._look_again(closed=True)
        if self._thread is not None:
            self._thread.join()

    def _look_again(self, closed: bool = False) -> None:
        with self._changed:
            self._closed = self._closed or closed
            self._changed.notify_all()

    def _run(self) -> None:
        while (alarm := self._next()) is not None:
            try:
                if alarm.act is not None:
                    alarm.act()
            except Exception:
                log.exception("an alarm met an error; this is a bug of pachlet")

    def _next(self) -> Alarm | None:
        with self._changed:
            while not self._closed:
                left = (self._times[0][0] - self._clock.now()) / _NANOS if self._times else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._times)[2]
                self._changed.wait(None if left is None else min(left, threading.TIMEOUT_MAX))
            return None
