"""Keep what a process prints that is not to end: its last part, and not more than a person could read.

A datum's log has a beginning and an end, of which both are kept; here there is only what was printed lately. What
comes faster than the limit is counted and left out, so that a process that prints without a pause neither fills the
disk nor keeps the database busy.

Read next: logbook.py.
"""

from __future__ import annotations

from collections import deque

from pachlet.clock import Clock
from pachlet.pps.logbook import Logbook, Source

KEPT_LINES = 10_000
_LINES_A_SECOND, _SIZE_A_SECOND = 1000, 256 << 10
_BURST = 8
"""So many seconds' worth may come at once."""
_LONGEST = 16 << 10
_LAST_WORDS = 50


class StandingLog:
    """The lines of one process after the other of one pipeline, or of one job of a service."""

    def __init__(self, logbook: Logbook, clock: Clock, source: Source) -> None:
        self._logbook = logbook
        self._clock = clock
        self._source = source
        self._looked = clock.now()
        self._lines, self._size = float(_BURST * _LINES_A_SECOND), float(_BURST * _SIZE_A_SECOND)
        self._left_out = 0
        self._held: deque[str] = deque(maxlen=_LAST_WORDS)
        self._until_trim = KEPT_LINES // 4

    def add(self, line: str) -> None:
        """Take one line."""
        line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
        now = self._clock.now()
        seconds, self._looked = (now - self._looked) / 1e9, now
        self._lines = min(self._lines + seconds * _LINES_A_SECOND, _BURST * _LINES_A_SECOND)
        self._size = min(self._size + seconds * _SIZE_A_SECOND, _BURST * _SIZE_A_SECOND)
        if self._lines < 1 or self._size < len(line):
            self._left_out += 1
            self._held.append(line)
            return
        self.end()
        self._write(line)

    def end(self) -> None:
        """Say what was left out, if anything, and write the last of it: the process may have died of it."""
        if self._left_out:
            left_out = self._left_out - len(self._held)
            self._logbook.user(self._source, f"… {left_out} lines left out: they came too fast")
            for line in self._held:
                self._write(line)
            self._left_out = 0
            self._held.clear()

    def _write(self, line: str) -> None:
        self._lines -= 1
        self._size -= len(line)
        self._logbook.user(self._source, line)
        self._until_trim -= 1
        if self._until_trim <= 0:
            self._until_trim = KEPT_LINES // 4
            self._logbook.trim(self._source, KEPT_LINES)
