"""Find the control groups that a process is in: version 1, version 2, or both side by side.

Version 1 has a tree for each controller (memory, cpu, pids), version 2 one tree for all. A hybrid machine has
both: a controller is then in one of them. What a container sees of a tree may begin below its root, so each
path is taken relative to what is mounted.

Read next: capacity.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A group of a process in one tree."""

    mount: Path
    path: Path

    @property
    def is_root(self) -> bool:
        """Tell whether this is the root of what is mounted."""
        return self.mount == self.path


def own_groups(pid: int | str = "self", proc: Path = Path("/proc")) -> dict[str, Place]:
    """Return where a process is, by controller of version 1; the tree of version 2 has the name ""."""
    try:
        mounts = _mounts((proc / "self" / "mountinfo").read_text())
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if name in mounts and (place := _place(*mounts[name], path)) is not None:
                found[name] = place
    return found


def _mounts(mountinfo: str) -> dict[str, tuple[Path, str]]:
    """Return the mount point of each tree and what part of it is mounted there."""
    found: dict[str, tuple[Path, str]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split(" ")[3:5]
        kind, _, options = (*after.split(" "), "", "")[:3]
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            found.setdefault(name, (Path(_plain(point)), _plain(root)))
    return found


def _place(mount: Path, root: str, path: str) -> Place | None:
    """Return the folder of a group, or None if it lies outside of what is mounted."""
    if root in ("/", path):
        below = path if root == "/" else "/"
    elif path.startswith(f"{root}/"):
        below = path[len(root) :]
    else:
        return None
    folder = mount / below.lstrip("/")
    return Place(mount, folder) if ".." not in folder.parts and folder.is_dir() else None


def _plain(text: str) -> str:
    """Undo mountinfo's way of writing blanks."""
    for code, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, plain)
    return text
