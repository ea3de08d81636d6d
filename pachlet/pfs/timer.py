"""The one thread that waits for times: it sleeps until the next thing is due, and looks again after each change.

What is to be done when, those who were added say; each is asked by itself, so that one that fails keeps no other
waiting.

Read next: cron_triggers.py, pachlet/pps/ticking.py (what is waited for), clock.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from pachlet.clock import Clock
from pachlet.errors import PachletError
from pachlet.metadb.changes import Changes, Closed

log = logging.getLogger(__name__)

Look = Callable[[], int | None]
"""Does what is due; returns the time of what will be due next, None if there is nothing."""

_AGAIN = 5.0  # seconds until the next try after an error
_LONGEST = 60.0
"""Seconds: while a machine is suspended, or its clock set, a thread that sleeps does not go by the clock."""


class Timer:
    """Waits on the engine's clock."""

    def __init__(self, changes: Changes, clock: Clock, looks: Sequence[Look]) -> None:
        self._changes = changes
        self._clock = clock
        self._looks = looks
        self._thread = threading.Thread(target=self._run, name="timer", daemon=True)
        clock.on_jump(changes.announce)

    def start(self) -> None:
        """Start waiting."""
        self._thread.start()

    def close(self) -> None:
        """Stop waiting."""
        self._changes.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            seen = self._changes.count
            try:
                self._changes.wait(seen, self._look())
            except Closed:
                return

    def _look(self) -> float | None:
        """Ask everyone; return for how many seconds there is nothing to do, None for as long as nothing changes."""
        waits: list[float] = []
        for look in self._looks:
            try:
                due = look()
            except Closed:
                raise
            except PachletError as error:
                log.error("what was due could not be done: %s", error)
                waits.append(_AGAIN)
            except Exception:
                log.exception("the timer met an error; this is a bug of pachlet")
                waits.append(_AGAIN)
            else:
                if due is not None:
                    waits.append(min(max(0.0, (due - self._clock.now()) / 1e9), _LONGEST))
        return min(waits, default=None)
