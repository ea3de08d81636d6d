"""Put attempts into control groups: what counts and limits the memory, processors and processes of all they start.

Each launcher has one group of its own under the server's, in every tree that is writable, and each session one below
it, made at its first attempt and kept for all. The guard enters it by itself, so whatever the steps start is born
inside. Where version 2 gives us no group that we may divide, or nothing is writable, there are none, and the
watchdog stands in (watchdog.py).

Read next: cgroup_tree.py (where the trees are), launching.py (who makes them), limits.py (what is said of them).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pachlet.worker.capacity import memory_for_steps
from pachlet.worker.cgroup_tree import Place, own_groups
from pachlet.worker.interface import Limits

CONTROLLERS = ("memory", "pids", "cpu")
_PERIOD = 100_000


class Groups:
    """The groups of one launcher."""

    def __init__(self, bases: Mapping[str, Path], version: str, name: str = "session") -> None:
        """Divide `bases`, folders by controller that were made for us; what is made in them is called by `name`."""
        self.bases = dict(bases)
        self.version = version
        self._name = name
        self._count = 0

    def __contains__(self, controller: object) -> bool:
        return controller in self.bases

    @property
    def folders(self) -> list[Path]:
        """The folders to be removed at the end, each once."""
        return list(dict.fromkeys(self.bases.values()))

    def open(self, limits: Limits) -> Group:
        """Make a group with limits."""
        self._count += 1
        return Group(self, f"{self._name}-{self._count}", limits)

    def close(self) -> None:
        """Remove the groups, where nothing is in them any more."""
        for folder in self.folders:
            remove(folder)


class Group:
    """The group of one session. The attempts in it run one after the other."""

    def __init__(self, groups: Groups, name: str, limits: Limits) -> None:
        self.limits = limits
        self.alarm = -1
        """Becomes readable when memory may have run out; -1 where the kernel ends the whole group by itself."""
        self._is_v2 = groups.version == "v2"
        self._names = _names(groups.version)
        self._folders = {each: base / name for each, base in groups.bases.items()}
        self._peak_file = self._events_file = -1
        self._kills = 0
        self._make()

    def entrances(self) -> list[int]:
        """Open what a process writes 0 to in order to enter; the caller closes them."""
        found = dict.fromkeys(self._folders.values())
        return [os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for folder in found]

    def begin(self) -> bool:
        """Count anew from here: what follows is another attempt.

        Returns False where that would take a new group (before Linux 6.12) and someone is in this one.
        """
        counts_anew = True
        if not self._reset_peak():
            try:
                self._remove()
                self._make()
            except OSError:
                counts_anew = False
        self._kills = self._oom_kills()
        return counts_anew

    def peak(self) -> int | None:
        """Return the most bytes that were in use at a time since `begin`."""
        if "memory" not in self._folders:
            return None
        with contextlib.suppress(OSError, ValueError):
            return int(os.pread(self._peak_file, 64, 0))
        return None

    def ran_out(self) -> bool:
        """Tell whether the kernel ended a process since `begin` because memory ran out."""
        return self._oom_kills() > self._kills

    def close(self) -> None:
        """Remove the group, which is empty."""
        with contextlib.suppress(OSError):  # the launcher removes what is left when it ends
            self._remove()

    def _make(self) -> None:
        limits, folders = self.limits, self._folders
        for folder in dict.fromkeys(folders.values()):
            folder.mkdir(exist_ok=True)
        if "pids" in folders:
            _write(folders["pids"], "pids.max", str(limits.processes))
        if "cpu" in folders and limits.cpu is not None:
            quota = max(1000, int(limits.cpu * _PERIOD))
            if self._is_v2:
                _write(folders["cpu"], "cpu.max", f"{quota} {_PERIOD}")
            else:
                _write(folders["cpu"], "cpu.cfs_period_us", str(_PERIOD))
                _write(folders["cpu"], "cpu.cfs_quota_us", str(quota))
        if "memory" in folders:
            self._limit_memory(folders["memory"])

    def _limit_memory(self, folder: Path) -> None:
        if self.limits.memory is not None:
            _write(folder, self._names["memory"], str(self.limits.memory))
            with contextlib.suppress(OSError):  # a machine without swap has no such file
                _write(folder, self._names["swap"], "0" if self._is_v2 else str(self.limits.memory))
        for mode in (
            os.O_RDONLY,
            os.O_RDWR,
        ):  # before Linux 5.19 version 2 has none, before 6.12 none to be reset
            with contextlib.suppress(OSError):
                found = os.open(folder / self._names["peak"], mode | os.O_CLOEXEC)
                if self._peak_file >= 0:
                    os.close(self._peak_file)
                self._peak_file = found
        self._events_file = os.open(folder / self._names["events"], os.O_RDONLY | os.O_CLOEXEC)
        if self._is_v2:
            _write(folder, "memory.oom.group", "1")
        else:
            with contextlib.suppress(OSError):
                self.alarm = _alarm(folder)

    def _reset_peak(self) -> bool:
        if "memory" not in self._folders:
            return True
        try:
            os.pwrite(self._peak_file, b"reset" if self._is_v2 else b"0", 0)
        except OSError:
            return False
        return True

    def _oom_kills(self) -> int:
        if "memory" not in self._folders:
            return 0
        with contextlib.suppress(OSError, ValueError):
            for line in os.pread(self._events_file, 4096, 0).splitlines():
                name, _, number = line.partition(b" ")
                if name == b"oom_kill":
                    return int(number)
        return 0

    def _remove(self) -> None:
        for descriptor in (self.alarm, self._peak_file, self._events_file):
            if descriptor >= 0:
                os.close(descriptor)
        self.alarm = self._peak_file = self._events_file = -1
        for folder in dict.fromkeys(self._folders.values()):
            folder.rmdir()


def find_groups(pid: int, name: str) -> Groups | None:
    """Make groups for the attempts of the launcher `pid`, or return None where nobody lets us."""
    places = own_groups(pid)
    bases: dict[str, Path] = {}
    for controller in CONTROLLERS:
        if controller in places and (base := _made(places[controller].path / name)):
            bases[controller] = base
    if "memory" not in bases and "" in places and (found := _find_v2(places[""], pid, name)):
        for folder in bases.values():
            folder.rmdir()
        return found
    return _limited(Groups(bases, "v1")) if bases else None


def _find_v2(place: Place, pid: int, name: str) -> Groups | None:
    """Divide the group of the launcher: its processes go into one part, the attempts into another.

    A group that is divided may have no processes of its own, so this can only be done where we are alone.
    """
    wanted = [each for each in CONTROLLERS if each in _words(place.path / "cgroup.controllers")]
    ours = {pid, os.getpid()}
    inside = {int(each) for each in _words(place.path / "cgroup.procs")}
    is_top = not (place.path / "cgroup.type").exists()
    if "memory" not in wanted or not (inside <= ours or is_top):
        return None
    base = _made(place.path / name)
    if base is None:
        return None
    try:
        if not is_top:
            (place.path / f"{name}-server").mkdir()
            for each in inside:
                _write(place.path / f"{name}-server", "cgroup.procs", str(each))
        for folder in (place.path, base):
            _write(folder, "cgroup.subtree_control", " ".join(f"+{each}" for each in wanted))
    except OSError:
        with contextlib.suppress(OSError):
            for each in inside:
                _write(place.path, "cgroup.procs", str(each))
            (place.path / f"{name}-server").rmdir()
            base.rmdir()
        return None
    return _limited(Groups(dict.fromkeys(wanted, base), "v2"))


def _limited(groups: Groups) -> Groups:
    """Keep all steps together from using the memory that the server needs."""
    if "memory" in groups:
        _write(groups.bases["memory"], _names(groups.version)["memory"], str(memory_for_steps()))
    return groups


def remove(folder: Path) -> None:
    """Remove a group and those below it, as far as they are empty."""
    with contextlib.suppress(OSError):
        for below in sorted(folder.iterdir()):
            if below.is_dir():
                remove(below)
        folder.rmdir()


def remove_abandoned(name: str) -> None:
    """Remove the groups of launchers that were killed; `name` is how such groups begin."""
    for place in own_groups().values():
        with contextlib.suppress(OSError):
            for folder in place.path.glob(f"{name}-*"):
                if not _is_alive(folder.name):
                    remove(folder)


def _is_alive(name: str) -> bool:
    """Tell whether the process that a group is named by is there."""
    pid = name.split("-")[1]
    return not pid.isdigit() or Path("/proc", pid).exists()


def _made(folder: Path) -> Path | None:
    """Make a group and try it out: a tree may be mounted read-only, or be another user's."""
    try:
        folder.mkdir()
        os.close(os.open(folder / "cgroup.procs", os.O_WRONLY))
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    return folder


def _names(version: str) -> dict[str, str]:
    if version == "v2":
        return {
            "memory": "memory.max",
            "swap": "memory.swap.max",
            "peak": "memory.peak",
            "events": "memory.events",
        }
    return {
        "memory": "memory.limit_in_bytes",
        "swap": "memory.memsw.limit_in_bytes",
        "peak": "memory.max_usage_in_bytes",
        "events": "memory.oom_control",
    }


def _alarm(folder: Path) -> int:
    """Ask version 1 to tell when a group runs out of memory."""
    alarm = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    source = os.open(folder / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _write(folder, "cgroup.event_control", f"{alarm} {source}")
    except OSError:
        os.close(alarm)
        raise
    finally:
        os.close(source)
    return alarm


def _words(path: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from path.read_text().split()


def _write(folder: Path, name: str, text: str) -> None:
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
