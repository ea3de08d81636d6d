"""Keep the sessions of workers warm: what served one lease may serve the next of the same pipeline's version and
code.

What is kept is what takes time to make: the folder with its sandbox, the input files that lie in it already, and with
datum batching the user's process with all that it has imported. A session that nobody has used for a while is closed,
and so is the one that was used least recently when there are too many or the machine is short of memory. There are
too many sooner where a user's process stays, which may hold a gigabyte; without one, a session is a folder and a guard
of 2 MiB, and pipelines that take turns each have theirs.

Read next: working.py (who uses them), layout.py (why input files stay).
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

from pachlet.worker.scratch import make_apart, spread
from pachlet.worker.seat import Seat

IDLE_SECONDS = 300.0
"""An unused session is kept so long."""
_IDLE_EACH = 64
"""So many unused sessions are kept for each worker at most."""
_IDLE_WITH_CODE_EACH = 8
"""So many of them at most hold a process of the user's."""
_IDLE_WITH_CODE = 16
"""Or so many, where the workers are few: all pipelines of one company take turns at them."""
_DESCRIPTORS_EACH = 16
"""A session has six descriptors open; with so many at most for each, there are enough for everything else."""
SCALED_DOWN_SECONDS = 2.0
"""The same, for one that is to go when there is nothing to do."""
_LOOK_SECONDS = 1.0
"""How often at most to look how much memory is free: that costs as much as making a folder."""
_LEAST_FREE = 0.1
"""So much of the machine's memory is free while unused sessions are kept."""


@dataclass
class Warm:
    """A session with what lies in it, here or at a companion."""

    key: Hashable
    number: int
    """Tells it from the others of its key that are open; the smallest that is free."""
    seat: Seat
    stays: bool
    has_code: bool
    """Whether a process of the user's stays in it."""
    era: int
    unused_since: float = 0.0


class Sessions:
    """The open sessions of a process; safe from any thread."""

    @classmethod
    def of_workers(cls, folder: Path, workers: int) -> Sessions:
        """Make what so many workers of this process share."""
        most, (open_files, _) = _IDLE_EACH * workers, resource.getrlimit(resource.RLIMIT_NOFILE)
        if open_files != resource.RLIM_INFINITY:
            most = min(most, open_files // _DESCRIPTORS_EACH)
        return cls(folder, most, max(_IDLE_WITH_CODE, _IDLE_WITH_CODE_EACH * workers))

    def __init__(
        self,
        folder: Path,
        most_idle: int,
        most_with_code: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        spread(folder)
        self._most_idle = most_idle
        self._most_with_code = most_with_code
        self._now = now
        self._lock = threading.Lock()
        self._idle: list[Warm] = []  # the least recently used first
        self._numbers: dict[Hashable, set[int]] = {}
        self._made = 0
        self._looked = float("-inf")
        self._era = 0

    def take(
        self, key: Hashable, stays: bool, open: Callable[[int, Path], Seat], *, has_code: bool = False
    ) -> Warm:
        """Return a session for `key`, warm if there is one; `open` gets its number and folder.

        Args:
            stays: whether it is kept for long when it is unused.
            has_code: whether a process of the user's will stay in it.
        """
        with self._lock:
            for warm in reversed(self._idle):
                if warm.key == key:
                    self._idle.remove(warm)
                    return warm
            taken = self._numbers.setdefault(key, set())
            number = next(each for each in range(len(taken) + 1) if each not in taken)
            taken.add(number)
            self._made += 1
            era = self._era
            folder = self.folder / str(self._made)
        self._make_room()
        try:
            make_apart(folder)
            seat = open(number, folder)
        except BaseException:
            self._forget(key, number)
            raise
        return Warm(key, number, seat, stays, has_code, era)

    def _make_room(self) -> None:
        now = self._now()
        if now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            if _is_short_of_memory():
                self._looked = float("-inf")
                self.close_idle(0.0)

    def put_back(self, warm: Warm) -> None:
        """Keep a session for the next who needs it."""
        warm.unused_since = self._now()
        with self._lock:
            self._idle.append(warm)
            surplus = self._surplus()
            if warm.era != self._era and warm not in surplus:
                self._idle.remove(warm)
                surplus.append(warm)
        self._close(surplus)

    def _surplus(self) -> list[Warm]:
        """Take out those that were used least recently of too many."""
        with_code = [each for each in self._idle if each.has_code]
        surplus = with_code[: max(0, len(with_code) - self._most_with_code)]
        self._idle = [each for each in self._idle if each not in surplus]
        oldest = self._idle[: max(0, len(self._idle) - self._most_idle)]
        del self._idle[: len(oldest)]
        return surplus + oldest

    def renew(self) -> None:
        """Let nobody find what lies in the sessions of now: unused ones are closed, others as they are put back."""
        with self._lock:
            self._era += 1
            old, self._idle = self._idle, []
        self._close(old)

    def drop(self, warm: Warm) -> None:
        """Close a session that is not fit to be used again."""
        self._close([warm])

    def close_idle(self, seconds: float | None = None) -> None:
        """Close the sessions that nobody has used for so long; by default as long as each may stay."""
        now = self._now()
        with self._lock:
            old = [each for each in self._idle if now - each.unused_since >= _patience(each, seconds)]
            self._idle = [each for each in self._idle if each not in old]
        self._close(old)

    def next_end(self) -> float | None:
        """Return in how many seconds the first of the unused sessions is to be closed; None if there is none."""
        now = self._now()
        with self._lock:
            ends = [each.unused_since + _patience(each, None) - now for each in self._idle]
        return max(0.0, min(ends)) if ends else None

    def _close(self, some: list[Warm]) -> None:
        for warm in some:
            try:
                warm.seat.close()
            finally:
                self._forget(warm.key, warm.number)

    def _forget(self, key: Hashable, number: int) -> None:
        with self._lock:
            self._numbers[key].discard(number)
            if not self._numbers[key]:
                del self._numbers[key]


def _patience(warm: Warm, seconds: float | None) -> float:
    if seconds is not None:
        return seconds
    return IDLE_SECONDS if warm.stays else SCALED_DOWN_SECONDS


def _is_short_of_memory() -> bool:
    try:
        with open("/proc/meminfo") as file:
            sizes = {line.partition(":")[0]: int(line.split()[1]) for line in file}
        return sizes["MemAvailable"] < _LEAST_FREE * sizes["MemTotal"]
    except (OSError, KeyError, ValueError):
        pages = os.sysconf("SC_AVPHYS_PAGES")
        return pages < _LEAST_FREE * os.sysconf("SC_PHYS_PAGES")
