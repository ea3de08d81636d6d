"""Make the virtual environment that an image's pinned requirements describe.

The same hash-checked files that the Dockerfile installs are installed here by uv, into a folder named by the
requirements and the exact interpreter, so that images with the same requirements share one environment and a
changed pin gets a new one. Bytecode is compiled at once: the environment is read-only for steps, and without
it every datum would compile TensorFlow anew (13 s instead of 3).

Read next: interpreters.py (which Python), snapshots.py (where the requirement files come from).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import FailedPrecondition, Unavailable
from pachlet.worker.interpreters import Interpreter, find_interpreter, find_uv

_COMPLETE = "pachlet-environment.json"
_OUTPUT_LINES = 8
_NETWORK = ("error sending request", "failed to fetch", "dns error", "timed out", "certificate")
"""Signs in uv's output that it could not reach the index."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that is complete."""

    folder: Path
    interpreter: Interpreter
    packages: tuple[str, ...]
    """`name==version`, sorted."""

    @property
    def digest(self) -> str:
        """The hash of what is installed, Python included."""
        installed = "\n".join([self.interpreter.version, *self.packages])
        return "sha256:" + hashlib.sha256(installed.encode()).hexdigest()


def make_environment(
    minor: str, requirements: Sequence[Path], envs: Path, say: Callable[[str], None]
) -> Environment:
    """Return the environment for `requirements` on Python `minor`, making it under `envs` if it is not there.

    Atomic, and safe between processes: one makes it while the others wait.

    Raises:
        Unavailable: it can't be made now (no package index, no interpreter).
        FailedPrecondition: the requirements can't be met (a hash that does not match, versions that clash).
    """
    interpreter = find_interpreter(minor)
    folder = envs / _name(interpreter, requirements)
    envs.mkdir(parents=True, exist_ok=True)
    # Made in its final place, because scripts and bytecode carry the path; the marker says that it is whole.
    with only_one(envs / f"{folder.name}.lock"):
        if not (folder / _COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(interpreter, requirements, folder, say)
        packages = json.loads((folder / _COMPLETE).read_text())
    return Environment(folder, interpreter, tuple(packages))


def _name(interpreter: Interpreter, requirements: Sequence[Path]) -> str:
    key = hashlib.sha256(repr(interpreter).encode())
    for path in requirements:
        key.update(hashlib.sha256(path.read_bytes()).digest())
    return f"python{interpreter.version}-{key.hexdigest()[:24]}"


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Keep all others out, of this process and of others, while the block runs."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(
    interpreter: Interpreter, requirements: Sequence[Path], folder: Path, say: Callable[[str], None]
) -> None:
    say(f"making an environment with Python {interpreter.version} in {folder}")
    _uv("venv", "--python", str(interpreter.executable), str(folder))
    python = str(folder / "bin" / "python")
    if requirements:
        say(f"installing {len(pinned(requirements))} pinned requirements")
        files = [word for path in requirements for word in ("--requirements", str(path))]
        _uv("pip", "install", "--python", python, "--require-hashes", "--compile-bytecode", *files)
    listed = json.loads(_uv("pip", "list", "--python", python, "--format", "json"))
    packages = sorted(f"{package['name']}=={package['version']}" for package in listed)
    marker = folder / f"{_COMPLETE}.new"
    marker.write_text(json.dumps(packages, indent=1))
    marker.rename(folder / _COMPLETE)


def pinned(requirements: Sequence[Path]) -> list[str]:
    """Return the pins of requirement files as `name==version`, sorted."""
    found = set()
    for path in requirements:
        for line in path.read_text().splitlines():
            if "==" in line and not line.lstrip().startswith(("#", "-")):
                found.add(line.split(";")[0].split()[0])
    return sorted(found)


def _uv(*words: str) -> str:
    """Run uv and return its output.

    It gets our own environment variables (the certificates, the index) and trusts the system's certificates,
    so that it reaches whatever index the user's machine reaches; from `/` it finds no project's settings.
    """
    command = [find_uv(), "--system-certs", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode == 0:
        return done.stdout
    tail = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_OUTPUT_LINES:]
    problem = f"uv {' '.join(words[:2])} failed:\n" + "\n".join(f"  {line}" for line in tail)
    if any(sign in done.stderr.lower() for sign in _NETWORK):
        raise Unavailable(
            problem, hint="is a package index within reach? uv's settings are used, such as UV_INDEX_URL"
        )
    raise FailedPrecondition(problem, hint="check the pins and hashes in the image's requirements.txt")
