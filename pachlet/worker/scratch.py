"""Empty and remove folders that a step wrote to.

A step may leave anything in its output: links that point elsewhere are removed, never followed, and folders
without permissions are opened first, so that a worker can always clean up after its datum.

Read next: process.py (when that happens).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def empty(folder: Path, *, keep: str = "") -> None:
    """Remove everything in `folder` but the entry `keep`; the folder itself stays."""
    for entry in folder.iterdir():
        if entry.name != keep:
            remove(entry)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; it may be gone already."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        _open_up(path)
        shutil.rmtree(path)


def _open_up(path: Path) -> None:
    path.chmod(0o700)
    for at, folders, _ in os.walk(path):
        for name in folders:
            below = os.path.join(at, name)
            if not os.path.islink(below):  # chmod follows links
                os.chmod(below, 0o700)
