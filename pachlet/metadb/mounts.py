"""Which file system a folder lies on, and whether other machines may write to it at the same time.

A database in WAL mode is shared by memory, which no other machine sees, and locks of files on a network are not
always heeded by others: there a second server could destroy what the first one writes.

Read next: connect.py.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_SHARED = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gfs2", "ocfs2"}
_SHARED_BY_PROGRAMS = re.compile(r"fuse\.(sshfs|rclone|s3fs|gcsfuse|glusterfs|juicefs|ceph)")


def network_file_system(folder: Path) -> str:
    """Return the type of the network's file system that a folder lies on, such as nfs4; "" if it is on none."""
    kind = _kind(Path(os.path.realpath(folder)))  # Path.resolve() raises where links lead in a circle
    return kind if kind in _SHARED or _SHARED_BY_PROGRAMS.match(kind) else ""


def _kind(folder: Path) -> str:
    """Return the type of the file system of the last mount above a folder; "" where nothing says."""
    try:
        lines = os.fsdecode(_MOUNTS.read_bytes()).split("\n")  # names are of any bytes but these
    except OSError:  # another system than Linux
        return ""
    found, depth = "", -1
    for line in filter(None, lines):
        before, _, after = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split(" ")[4]))
        if (folder == point or point in folder.parents) and len(point.parts) >= depth:
            found, depth = after.split(" ")[0], len(point.parts)
    return found
