"""Empty and remove folders that a step wrote to.

A step may leave anything in its output: links that point elsewhere are removed, never followed, and folders
without permissions are opened first, so that a worker can always clean up after its datum.

Read next: session.py (when that happens).
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import BinaryIO


def empty(folder: Path, *, keep: str = "") -> None:
    """Remove everything in `folder` but the entry `keep`; the folder itself stays, and can be used again."""
    _let_us(folder, 0o700)
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
        open_up(path)
        shutil.rmtree(path)


def open_up(folder: Path) -> None:
    """Let us read and change a folder and all folders in it."""
    _let_us(folder, 0o700)
    for at, folders, _ in os.walk(folder):
        for name in folders:
            below = Path(at, name)
            if not below.is_symlink():  # chmod follows links
                _let_us(below, 0o700)


def open_file(path: Path) -> BinaryIO:
    """Open a file of our own for reading, whatever its permissions are."""
    try:
        return path.open("rb")
    except PermissionError:
        _let_us(path, 0o400)
        return path.open("rb")


def _let_us(path: Path, wanted: int) -> None:
    # The mode is compared, not tried out: root may do anything, but the step, root or not, may not.
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & wanted != wanted:
        path.chmod(mode | wanted)
