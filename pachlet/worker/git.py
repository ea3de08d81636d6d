"""Ask git which commit some files are from, and whether they still are what that commit says.

The digest says which code ran; the commit says where to read it. Code that was never committed is common
while working, so it is not refused, but its commit is then marked dirty. A machine without git, or code
outside of a repository, is no error either: there is no commit to tell.

Read next: images.py (who asks).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def git_state(code_root: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Return git_commit (or None) and dirty (or None): whether any of `files` differs from that commit."""
    unknown: dict[str, Any] = {"git_commit": None, "dirty": None}
    if shutil.which("git") is None:
        return unknown
    # Folders, not files: a command line has its limits. No optional locks: reading must not disturb a
    # user's own git. --ignored, because a file that git ignores is in no commit.
    command = ["git", "--no-optional-locks", "-C", str(code_root), "status", "--porcelain=v2", "--branch"]
    options = ["-z", "--untracked-files=all", "--ignored", "--no-renames", "--"]
    folders = sorted({str(file.parent) for file in files})
    done = subprocess.run([*command, *options, *folders], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return unknown
    commit = None
    changed: set[str] = set()
    for line in done.stdout.split("\0"):
        if line.startswith("# branch.oid "):
            commit = line.split(" ")[2]
        elif line.startswith(("? ", "! ")):
            changed.add(line[2:])
        elif line.startswith("1 "):
            changed.add(line.split(" ", 8)[8])
        elif line.startswith("u "):
            changed.add(line.split(" ", 10)[10])
    if commit is None or commit == "(initial)":
        return unknown
    return {"git_commit": commit, "dirty": _any_of(code_root, files, changed)}


def _any_of(code_root: Path, files: Sequence[Path], changed: set[str]) -> bool:
    """Tell whether one of `files` is among git's paths, which count from the repository's top."""
    if not changed:
        return False
    root = code_root.resolve()
    top = next((folder for folder in [root, *root.parents] if (folder / ".git").exists()), root)
    return any(_is_in(file.resolve().relative_to(top), changed) for file in files)


def _is_in(path: Path, changed: set[str]) -> bool:
    # Git names a folder, with a slash at its end, when all of it is ignored.
    return path.as_posix() in changed or any(f"{folder}/" in changed for folder in path.parents)
