"""The last lines of the server's own log, for those who ask for the logs of no pipeline.

What is logged goes to stderr as ever; here it is kept in memory, so many lines and no more, without tracebacks: those
are for whoever mends the server, and stand on stderr.

Read next: log_service.py.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pachlet.clock import Clock

_KEPT = 5000
_LONGEST = 10_000


@dataclass(frozen=True)
class Line:
    """A line, numbered in the order in which they came; the time is that of the server's clock."""

    number: int
    time: int
    text: str


class ServerLog(logging.Handler):
    """Keeps what the engine logs while it is open; `wake` is called after each line."""

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        super().__init__(logging.INFO)
        self._clock = clock
        self._wake = wake
        self._lines: deque[Line] = deque(maxlen=_KEPT)
        self._count = 0
        self._guard = threading.Lock()
        self._logger = logging.getLogger("pachlet")
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        text = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        with self._guard:
            self._count += 1
            self._lines.append(Line(self._count, self._clock.now(), text[:_LONGEST]))
        self._wake()

    def lines(self, above: int) -> list[Line]:
        """Return the lines that came after the one with a number."""
        with self._guard:
            return [each for each in self._lines if each.number > above]

    def close(self) -> None:
        """Take no more lines."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
        super().close()
