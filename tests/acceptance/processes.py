"""See that a process which is ended leaves none behind that it started, and find those of a step by a mark.

Read next: server_process.py, worker_process.py (what is ended).
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from pathlib import Path

_SECONDS = 30


class Watched:
    """Around the end of a process: all that it had started by then must end as well."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._handles: list[int] = []

    def __enter__(self) -> None:
        for each in descendants(self._pid):
            with suppress(ProcessLookupError):
                self._handles.append(os.pidfd_open(each))

    def __exit__(self, *_: object) -> None:
        for each in self._handles:
            gone, _, _ = select.select([each], [], [], _SECONDS)
            os.close(each)
            assert gone, "a process has outlived the one that started it"


def wait_for_end(pid: int) -> None:
    """Return when a process lives no more."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        gone, _, _ = select.select([handle], [], [], _SECONDS)
        os.close(handle)
        assert gone, f"process {pid} still lives"


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found, todo = [], [pid]
    while todo:
        for children in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):
                new = [int(each) for each in children.read_text().split()]
                found += new
                todo += new
    return found


def marked(mark: str) -> list[int]:
    """Return the processes that live and have a text in their environment."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in each.read_bytes():
                found.append(int(each.parent.name))
    return found


def wait_until_none_is_marked(mark: str) -> None:
    """Return when no process with a text in its environment lives any more."""
    while pids := marked(mark):
        for each in pids:
            wait_for_end(each)
