"""A copy of the repository, as a new user has it, and that user's environment.

Read next: conftest.py, console.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pachlet.cli.verbs.stop import stop_server

ROOT = Path(__file__).parent.parent.parent
MADE = (".git", ".venv", ".venvs", ".tools", ".pachlet", ".hypothesis", ".*_cache", "*.pyc.*")


def copy_repository(folder: Path) -> None:
    """Copy the repository, with links to the environments that `make` made in the original."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE))
    for made in (".venv", ".venvs"):
        if (ROOT / made / "ready").exists():
            (folder / made).symlink_to(ROOT / made)
    for source in ("pyproject.toml", "uv.lock", ".ci/setup"):
        os.utime(folder / source, (0, 0))  # older than the environment, which must not be made anew from here


def stop_servers(clone: Path) -> None:
    """Stop the servers on data directories in a copy."""
    for left in clone.glob("*/server.json"):
        stop_server(left.parent)


def environ(clone: Path) -> dict[str, str]:
    """Return a new user's environment: a home of their own, nothing of the make or pytest that runs this."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "PACH", "PYTEST", "COV"))
    }
    return kept | {
        "PORT": "0",
        "PACH_CONFIG": str(clone.parent / "config.json"),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
    }
