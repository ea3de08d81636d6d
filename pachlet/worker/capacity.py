"""Tell what this machine has: the memory that steps could use at most.

In a container the machine seems larger than it is for us, so the limits of the control groups that we are in
count too, whichever version they have.

Read next: cgroup_tree.py.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from pachlet.worker.cgroup_tree import own_groups

_RESERVE = 1 << 30
"""Bytes of memory that all steps together leave to the server and the rest of the machine."""


@functools.cache
def machine_memory() -> int:
    """Return how many bytes of memory this machine has for us, swap left out."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits()])


def memory_for_steps() -> int:
    """Return how many bytes of it all steps together may use."""
    return machine_memory() - min(_RESERVE, machine_memory() // 10)


def _limits() -> Iterator[int]:
    """Yield the limits of the groups that we are in, from the inside out."""
    groups = own_groups()
    group, name = groups.get("memory"), "memory.limit_in_bytes"
    if group is None:
        group, name = groups.get(""), "memory.max"
    if group is None:
        return
    for folder in (group.path, *group.path.parents):
        if not folder.is_relative_to(group.mount):
            return
        if (found := _number(folder / name)) is not None:
            yield found


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
