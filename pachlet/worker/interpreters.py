"""Find a Python of the wanted minor version that really runs.

A name on the path proves nothing: version managers put shims there that fail when called. So each candidate
is called and asked who it is. If none answers, uv downloads one.

Read next: environments.py (who needs it).
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import Unavailable

_ASK = (
    "import json, platform, sys; print(json.dumps([sys._base_executable, sys.base_prefix, "
    "platform.python_version(), platform.machine(), platform.python_implementation()]))"
)


@dataclass(frozen=True)
class Interpreter:
    """A base interpreter (never that of a virtual environment)."""

    executable: Path
    prefix: Path
    version: str
    machine: str
    implementation: str


@functools.cache
def find_uv() -> str:
    """Return the path of the uv program that came with our own environment."""
    from uv import find_uv_bin

    return str(find_uv_bin())


@functools.cache
def find_interpreter(minor: str) -> Interpreter:
    """Return an interpreter of version `minor` (like 3.11), downloading one if there is none.

    Raises:
        Unavailable: there is none and none can be had.
    """
    for candidate in _candidates(minor):
        if (found := _ask(candidate)) and found.version.startswith(f"{minor}."):
            return found
    command = [find_uv(), "python", "install", "--no-bin", minor]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and (found := _ask(_uv_find(minor))):
        return found
    raise Unavailable(
        f"there is no Python {minor} on this machine and none can be downloaded: {last_line(done.stderr)}",
        hint=f"install python{minor} with the system's package manager, or with uv python install {minor}",
    )


def _candidates(minor: str) -> Iterator[str]:
    yield _uv_find(minor)
    versions = Path.home() / ".pyenv" / "versions"
    yield from (str(python) for python in sorted(versions.glob(f"{minor}*/bin/python")))
    yield shutil.which(f"python{minor}") or ""


def _uv_find(minor: str) -> str:
    command = [find_uv(), "python", "find", "--no-python-downloads", "--system", minor]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _ask(executable: str) -> Interpreter | None:
    if not executable:
        return None
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=True, timeout=30
        )
        program, prefix, *rest = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None  # a shim, or something that is no Python: not an answer, look further
    return Interpreter(Path(program), Path(prefix), *rest)


def last_line(text: str) -> str:
    """Return the last line of a program's output that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
