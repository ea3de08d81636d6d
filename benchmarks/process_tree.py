"""The memory and the processor time of a process and all below it, read from /proc.

Read next: main_job.py.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

INTERVAL = 0.2  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


class Watch:
    """Keeps the highest sum of resident memory that a process and all below it had."""

    def __init__(self, find: Callable[[], int]) -> None:
        self.peak = 0
        self._find = find
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL):
            if root := self._find():
                self.peak = max(self.peak, resident(root))


def resident(root: int) -> int:
    """Return the resident bytes of a process and all below it; pages that they share count for each."""
    return sum(int(fields[21]) * PAGE for fields in tree(root))


def adopt_orphans() -> None:
    """Become the parent of whatever below this process loses its own, so that its seconds stay below us.

    Workers leave when there is nothing to do, and what they began ends after them: it would be counted nowhere.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "could not adopt orphans")


def cpu_seconds(root: int) -> float:
    """Return the processor's seconds of a process, of all below it, and of those of them that have ended."""
    return sum(sum(map(int, fields[11:15])) for fields in tree(root)) / TICKS


def tree(root: int) -> Iterator[list[str]]:
    """Yield what /proc/PID/stat says, from the third field on, of a process and of all below it."""
    children, found = defaultdict(list), {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; the numbers come after it.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        children[int(fields[1])].append(int(folder.name))
        found[int(folder.name)] = fields
    todo = [root]
    while todo:
        process = todo.pop()
        if process in found:
            yield found[process]
        todo += children[process]


def peak_of_process(process: int) -> int:
    """Return the most bytes that one process ever had resident."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
