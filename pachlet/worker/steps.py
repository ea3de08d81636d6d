"""Run the steps of a guard: start one, keep its limits, wait for it, and kill what it leaves.

A step is started without copying the guard's memory (posix_spawn). What a step inherits of the guard is what it was
at the beginning, or the guard serves no other: are_as_before() says so.

Read next: guard.py (who runs them), watchdog.py (what no control group does).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pachlet.worker.watchdog import INTERVAL, Excess, Watchdog

_KINDS_OF_LIMITS = 16


@dataclass(frozen=True)
class Step:
    """One step to run."""

    cmd: Sequence[str]
    cwd: str
    env: Mapping[str, str]


class Steps:
    """The steps of one guard, one after the other."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Set the limits that hold for all; `request` has the fields of launching.py: Walls."""
        self._request = request
        self._oom = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        self._usual_oom = os.read(self._oom, 16)
        self._pid = 0
        self._started = 0.0
        self._watchdog: Watchdog | None = None
        _limit(request["watched"], bool(request["root"]))
        self._limits = _limits()

    def start(self, step: Step, stdio: Sequence[int]) -> None:
        """Start a step.

        Raises:
            OSError: its program or its folder can't be used; the file's name says which.
            ValueError: its command, its folder or its environment has what no program can be given.
        """
        self._started = time.monotonic()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # it wakes us while we look after the step
        self._watchdog = self._make_watchdog()
        os.umask(0o022)
        os.chdir(step.cwd)
        os.environ["PATH"] = step.env["PATH"]  # where the command is looked for
        os.pwrite(self._oom, b"1000", 0)
        try:
            self._pid = os.posix_spawnp(
                step.cmd[0],
                list(step.cmd),
                step.env,
                file_actions=[(os.POSIX_SPAWN_DUP2, each, target) for target, each in enumerate(stdio)],
                setsid=True,
                setsigmask=[],
                setsigdef=[
                    signal.SIGPIPE,
                    signal.SIGXFSZ,
                ],  # Python ignores them, a program would inherit that
            )
        finally:
            # When memory runs out it is a process of the step that has to go, not us, who tell of it.
            os.pwrite(self._oom, self._usual_oom, 0)
            os.chdir("/")

    def wait(self, say: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Wait for the step that was started, and return how it ended.

        `say` hears at once of what it used too much of: it could seem to have ended by itself when the rest is killed.
        """
        if not self._request["root"]:
            signal.signal(signal.SIGTERM, lambda *_: self._kill())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        status, peak = self._wait()
        seconds = time.monotonic() - self._started
        if self._watchdog is not None:
            peak = max(peak, self._watchdog.peak)
        if isinstance(status, Excess):
            report = {"excess": status._asdict(), "peak": peak}
            say(report)
            return report
        return {"code": os.waitstatus_to_exitcode(status), "seconds": seconds, "peak": peak}

    def are_as_before(self) -> bool:
        """Tell whether the next step would inherit what the first one did."""
        return _limits() == self._limits

    def kill_descendants(self) -> None:
        """Kill the children that are left until there are none; each one's own children come to us in turn."""
        while children := _children():
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            for pid in children:
                os.waitpid(pid, 0)

    def _make_watchdog(self) -> Watchdog | None:
        """Return what looks after the limits that no control group keeps, or None if there is nothing to look at."""
        watched = self._request["watched"]
        if not watched:
            return None
        return Watchdog(
            memory=watched.get("memory"),
            processes=watched.get("processes"),
            disk=watched.get("disk"),
            folders=self._request["folders"],
            volume="volume" in watched,
            only_below=None if self._request["root"] else os.getpid(),
        )

    def _wait(self) -> tuple[int | Excess, int]:
        """Wait for the step, or for what it used too much of; bury orphans meanwhile. Return the peak as well."""
        peak = 0
        while True:
            gone, status, usage = os.wait4(-1, 0 if self._watchdog is None else os.WNOHANG)
            if gone:
                peak = max(peak, usage.ru_maxrss * 1024)
            if gone == self._pid:
                return status, peak
            if (
                gone == 0
                and self._watchdog is not None
                and signal.sigtimedwait([signal.SIGCHLD], INTERVAL) is None
                and (found := self._watchdog.look()) is not None
            ):
                return found, peak

    def _kill(self) -> None:
        # Told twice, by a lost control and then by the launcher's end, we may have buried it already: that must not
        # end us before its descendants are gone.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)


def kill_all_others() -> int:
    """Kill every process of this process namespace but ourselves, its first; return the most memory of one.

    The kernel sends the signal to all of them at once: who has it makes no more processes.
    """
    if os.getpid() != 1:
        raise AssertionError("this would kill the machine's processes")
    peak = 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            _, _, usage = os.wait4(-1, 0)
            peak = max(peak, usage.ru_maxrss * 1024)
    return peak


def _limit(watched: Mapping[str, int], is_alone: bool) -> None:
    """Set the limits that the kernel keeps for each process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "disk" in watched:
        resource.setrlimit(resource.RLIMIT_FSIZE, (watched["disk"], watched["disk"]))
    if "processes" in watched and is_alone and _counts_by_namespace():
        resource.setrlimit(resource.RLIMIT_NPROC, (watched["processes"], watched["processes"]))
    if "cpus" in watched:
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, random.sample(sorted(ours), min(len(ours), watched["cpus"])))


def _counts_by_namespace() -> bool:
    """Tell whether RLIMIT_NPROC counts this user's processes in this user namespace only (since Linux 5.14)."""
    return tuple(int(each) for each in re.findall(r"\d+", os.uname().release)[:2]) >= (5, 14)


def _limits() -> list[tuple[int, int]]:
    """Return what a step can change of us, and the next step would inherit.

    Priority, processors and the like are out of its reach: the kernel wants the changer to have our capabilities.
    """
    return [resource.getrlimit(each) for each in range(_KINDS_OF_LIMITS)]


def _children() -> list[int]:
    mine = str(os.getpid())
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parent = file.read().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it ended while we looked
        if parent == mine:
            found.append(int(name))
    return found
