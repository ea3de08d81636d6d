"""How much memory a container used, and whether the kernel ended something in it for using too much.

The engine's own statistics are a stream of samples, a second apart. Where the engine's processes are this machine's
(Linux, and not behind a virtual machine) the kernel's files of the container's control group say it at once and
exactly. Elsewhere nothing is said.

Read next: attempt.py (who asks), ../cgroup_tree.py.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pachlet.worker.cgroup_tree import own_groups
from pachlet.worker.interface import Limits
from pachlet.worker.limits import out_of_memory


class Memory:
    """The memory of the control group that a container's first process is in."""

    def __init__(self, pid: int | None, limits: Limits) -> None:
        self._limits = limits
        groups = own_groups(pid) if pid else {}
        self._folder: Path | None = None
        self._peak, self._events = "memory.max_usage_in_bytes", "memory.oom_control"
        if "memory" in groups:
            self._folder = groups["memory"].path
        elif "" in groups:
            self._folder = groups[""].path
            self._peak, self._events = "memory.peak", "memory.events"
        if self._folder is not None and not (self._folder / self._events).exists():
            self._folder = None
        self._killed = 0

    def begin(self) -> None:
        """Count anew, where the kernel lets us."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / self._peak).write_text("0")
        self._killed = self._kills()

    def peak(self) -> int | None:
        """Return the most bytes used since `begin`, or since the container was made, if known."""
        if self._folder is None:
            return None
        try:
            return int((self._folder / self._peak).read_text())
        except (OSError, ValueError):
            return None

    def complaint(self) -> str:
        """Return a sentence if the kernel ended a process since `begin` because memory ran out."""
        return out_of_memory(self._limits, self.peak()) if self._kills() > self._killed else ""

    def _kills(self) -> int:
        if self._folder is not None:
            with contextlib.suppress(OSError, ValueError):
                for line in (self._folder / self._events).read_text().splitlines():
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        return 0
