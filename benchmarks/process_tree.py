"""The memory of a process and all below it, read from /proc while something runs.

Read next: main_job.py.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

INTERVAL = 0.2  # seconds
PAGE = os.sysconf("SC_PAGE_SIZE")


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
    children, sizes = defaultdict(list), {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; the numbers come after it.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        children[int(fields[1])].append(int(folder.name))
        sizes[int(folder.name)] = int(fields[21]) * PAGE
    total, todo = 0, [root]
    while todo:
        process = todo.pop()
        total += sizes.get(process, 0)
        todo += children[process]
    return total


def peak_of_process(process: int) -> int:
    """Return the most bytes that one process ever had resident."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
