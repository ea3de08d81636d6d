"""Look after an attempt from inside: what its processes hold in memory, how many there are, what it has on disk.

The guard does this while it waits, where no control group does, and for the disk always: the kernel limits a file's
size (RLIMIT_FSIZE), but not that of a folder. A look reads a line of /proc for each process; what seems too much is
looked at again with shared pages counted once. Folders are walked for a tenth of the time at most, so a step may be
over its limit for a moment, and then it is ended.

Read next: guard.py (who looks), limits.py (what is said of it).
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
INTERVAL = 0.05
_ENTRY = 512
"""What an entry takes at least, so that files without anything in them have an end, too."""
_WALKING = 10
"""How many times the duration of a walk has to pass before the next."""


class Excess(NamedTuple):
    """What an attempt used too much of."""

    what: str
    limit: int
    used: int


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    threads: int
    memory: int


class Watchdog:
    """Looks after the processes that `is_ours` names; a limit that is None is not looked at."""

    def __init__(
        self,
        *,
        memory: int | None,
        processes: int | None,
        disk: int | None,
        folders: list[str],
        volume: bool,
        only_below: int | None,
        spared: int = 0,
    ) -> None:
        """Look at all processes in /proc, or only at those that descend from the process `only_below`.

        What is in `folders` counts as disk, all but the first `spared` bytes, and as memory too if that is where they
        lie (`volume`).
        """
        self._memory, self._processes, self._disk = memory, processes, disk
        self._folders, self._volume = folders, volume
        self._only_below = only_below
        self._spared = spared
        self._next_walk = 0.0
        self.peak = 0

    def look(self) -> Excess | None:
        """Look once; return what there is too much of."""
        processes = list(self._ours())
        held = _held_in("/dev/shm") if self._only_below is None else 0
        if self._volume:
            held += sum(map(size_below, self._folders))
        used = held + sum(each.memory for each in processes)
        if self._memory is not None and used > self._memory:
            used = held + sum(map(_shared_once, processes))
        self.peak = max(self.peak, used)
        if self._memory is not None and used > self._memory:
            return Excess("memory", self._memory, used)
        threads = sum(each.threads for each in processes)
        if self._processes is not None and threads > self._processes:
            return Excess("processes", self._processes, threads)
        if self._disk is not None and time.monotonic() >= self._next_walk:
            started = time.monotonic()
            on_disk = sum(map(size_below, self._folders)) + _deleted(processes, self._folders[0])
            self._next_walk = time.monotonic() + _WALKING * (time.monotonic() - started)
            on_disk -= self._spared
            if on_disk > self._disk:
                return Excess("disk", self._disk, on_disk)
        return None

    def _ours(self) -> Iterator[_Process]:
        found = {each.pid: each for each in _all_processes()}
        me = os.getpid()
        if self._only_below is None:
            return (each for each in found.values() if each.pid != me)
        return (each for each in found.values() if self._descends(each, found))

    def _descends(self, process: _Process, found: dict[int, _Process]) -> bool:
        seen = 0
        while process.parent in found and seen < len(found):
            if process.parent == self._only_below:
                return True
            process, seen = found[process.parent], seen + 1
        return False


def _all_processes() -> Iterator[_Process]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError):  # it ended while we looked
                with open(f"/proc/{name}/stat", "rb") as file:
                    words = file.read().rpartition(b")")[2].split()
                yield _Process(int(name), int(words[1]), int(words[17]), int(words[21]) * _PAGE)


def _shared_once(process: _Process) -> int:
    """Return a process's part of the memory that it shares, and all of its own; what can't be told is its own."""
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return process.memory


def _held_in(folder: str) -> int:
    """Return the bytes that a file system in memory holds."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def size_below(folder: str) -> int:
    """Return the bytes that all below a folder take on disk, each file once."""
    total, seen, todo = 0, set[int](), [folder]
    while todo:
        with contextlib.suppress(OSError):  # it was removed while we looked
            for path, found in _entries(todo.pop()):
                if found.st_nlink == 1 or found.st_ino not in seen:
                    total += max(found.st_blocks * 512, _ENTRY)
                seen.add(found.st_ino)
                if stat.S_ISDIR(found.st_mode):
                    todo.append(path)
    return total


def _entries(folder: str) -> list[tuple[str, os.stat_result]]:
    """List a folder, also one that the step has closed: it is the step's, and so ours."""
    try:
        return _list(folder)
    except PermissionError:
        mode = stat.S_IMODE(os.lstat(folder).st_mode)
        os.chmod(folder, mode | 0o500)
        try:
            return _list(folder)
        finally:
            os.chmod(folder, mode)


def _list(folder: str) -> list[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        return [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]


def _deleted(processes: Iterable[_Process], folder: str) -> int:
    """Return the bytes of files that processes hold open though they were deleted, on the disk of `folder`."""
    with contextlib.suppress(OSError):
        device = os.stat(folder).st_dev
        found: dict[int, int] = {}
        for process in processes:
            with contextlib.suppress(OSError):
                for name in os.listdir(f"/proc/{process.pid}/fd"):
                    with contextlib.suppress(OSError):
                        held = os.stat(f"/proc/{process.pid}/fd/{name}")
                        if held.st_nlink == 0 and held.st_dev == device:
                            found[held.st_ino] = held.st_blocks * 512
        return sum(found.values())
    return 0
