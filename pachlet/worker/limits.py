"""Say in sentences which limit an attempt went past, and by what means limits are kept on this machine.

Read next: cgroups.py and watchdog.py (the means), interface.py (Limits).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from pachlet.spec.quantity import show_bytes
from pachlet.worker.cgroups import Groups
from pachlet.worker.interface import Limits

SAMPLING = "watchdog (processes are looked at every 0.05 s)"


def out_of_memory(limits: Limits, peak: int | None) -> str:
    """Return the reason of an attempt of which the kernel ended a process because memory ran out."""
    if limits.memory is None or (peak is not None and peak < limits.memory * 9 // 10):
        return "killed: all steps together used more memory than this machine has for them"
    return too_much("memory", limits.memory, peak or limits.memory)


def too_much(what: str, limit: int, used: int) -> str:
    """Return the reason of an attempt that was ended because it used more of something than it may."""
    if what == "processes":
        return f"killed: had more than its limit of {limit} processes and threads"
    if what == "disk":
        return (
            f"killed: used more than its limit of {show_bytes(limit)} of disk "
            f"({show_bytes(used)} in /pfs/out and /tmp)"
        )
    return f"killed: used more than its limit of {show_bytes(limit)} of memory (peak {show_bytes(used)})"


def file_too_large(limit: int) -> str:
    """Return the reason of a process that wrote a file larger than all that it may have on disk."""
    return f"killed: a file grew past its limit of {show_bytes(limit)} of disk"


def means(groups: Groups | None) -> Mapping[str, str]:
    """Say how each limit is kept."""
    by = f"cgroup {groups.version}" if groups else ""
    processes = SAMPLING if os.geteuid() == 0 else "RLIMIT_NPROC and watchdog"  # which root is exempt from
    return {
        "memory": by if groups and "memory" in groups else SAMPLING,
        "cpu": by if groups and "cpu" in groups else "affinity to so many processors",
        "processes": by if groups and "pids" in groups else processes,
        "disk": "RLIMIT_FSIZE and watchdog (folders are walked a tenth of the time)",
    }
