"""Find a Python of the wanted minor version that really runs.

A name on the path proves nothing: version managers put shims there that fail when called. So each candidate
is called and asked who it is. If none answers, uv downloads one.

Read next: environments.py (who needs it).
"""

from __future__ import annotations

import functools
import json
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import Unavailable
from pachlet.worker.installing import Installer, OutOfReach, is_of_network

Install = Callable[[list[str]], subprocess.CompletedProcess[str]]
"""Runs a program that installs, to its end."""

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
def known_interpreter(minor: str, folder: Path, install: Install | None = None) -> Interpreter:
    """Return what `find_interpreter` does; a folder keeps who answered last, until that program changes.

    To ask takes a tenth of a second where a version manager's shims are on the path, and each new server's first job
    would wait for it. So an environment also stays the one it is when another interpreter is installed beside this one.
    """
    place = folder / f"python{minor}.json"
    try:
        told = json.loads(place.read_text())
        found = Interpreter(Path(told["executable"]), Path(told["prefix"]), *told["rest"])
        if told["mark"] == _mark(found.executable):
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is new, or gone
    found = find_interpreter(minor, install)
    told = {
        "executable": str(found.executable),
        "prefix": str(found.prefix),
        "rest": [found.version, found.machine, found.implementation],
        "mark": _mark(found.executable),
    }
    folder.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f"{place.name}.{secrets.token_hex(4)}")  # jobs that begin together ask together
    new.write_text(json.dumps(told))
    new.rename(place)
    return found


def _mark(program: Path) -> list[int]:
    """Return what is different once a program was replaced."""
    status = program.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns]


@functools.cache
def find_interpreter(minor: str, install: Install | None = None) -> Interpreter:
    """Return an interpreter of version `minor` (like 3.11), downloading one if there is none; `install` runs that.

    Raises:
        Unavailable: there is none and none can be had.
    """
    for candidate in _candidates(minor):
        if (found := _ask(candidate)) and found.version.startswith(f"{minor}."):
            return found
    command = [find_uv(), "python", "install", "--no-bin", minor]
    done = (install or Installer().run)(command)
    if done.returncode == 0 and (found := _ask(_uv_find(minor))):
        return found
    kind = OutOfReach if is_of_network(done.stderr) else Unavailable
    raise kind(
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
