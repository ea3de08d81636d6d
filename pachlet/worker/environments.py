"""Make the virtual environment that an image's pinned requirements describe.

The same hash-checked files that the Dockerfile installs are installed here by uv, into a folder named by the
requirements and the exact interpreter, so that images with the same requirements share one environment and a
changed pin gets a new one. Bytecode is compiled at once: the environment is read-only for steps, and without
it every datum would compile TensorFlow anew (13 s instead of 3).

Read next: interpreters.py (which Python), bytecode.py, snapshots.py (where the requirement files come from).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pachlet.errors import FailedPrecondition, Unavailable
from pachlet.worker.bytecode import compile_command, share_bytecode
from pachlet.worker.installing import Installer, OutOfReach, is_of_network
from pachlet.worker.interpreters import Interpreter, find_uv, known_interpreter

_COMPLETE = "pachlet-environment.json"
_OUTPUT_LINES = 8
_LOOK = 0.2  # seconds between two looks at an environment that another makes


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
    minor: str,
    requirements: Sequence[Path],
    envs: Path,
    say: Callable[[str], None],
    installer: Installer | None = None,
) -> Environment:
    """Return the environment for `requirements` on Python `minor`, making it under `envs` if it is not there.

    Atomic, and safe between processes: one makes it while the others wait.

    Raises:
        Unavailable: it can't be made now (no package index, no interpreter), or the installer was halted.
        FailedPrecondition: the requirements can't be met (a hash that does not match, versions that clash).
    """
    installer = installer or Installer()
    interpreter = installer.persist(lambda: known_interpreter(minor, envs, installer.run), say)
    folder = envs / _name(interpreter, requirements)
    envs.mkdir(parents=True, exist_ok=True)
    # Made in its final place, because scripts and bytecode carry the path; the marker says that it is whole.
    with only_one(envs / f"{folder.name}.lock", installer) as lock:
        if not (folder / _COMPLETE).exists():
            if folder.exists():
                shutil.rmtree(folder)
            _Making(installer, lock, say).make(interpreter, requirements, folder)
        packages = json.loads((folder / _COMPLETE).read_text())
    return Environment(folder, interpreter, tuple(packages))


def _name(interpreter: Interpreter, requirements: Sequence[Path]) -> str:
    key = hashlib.sha256(repr(interpreter).encode())
    for path in requirements:
        key.update(hashlib.sha256(path.read_bytes()).digest())
    return f"python{interpreter.version}-{key.hexdigest()[:24]}"


@contextmanager
def only_one(lock: Path, installer: Installer | None = None) -> Iterator[int]:
    """Keep all others out, of this process and of others, while the block runs.

    A program that gets the descriptor keeps them out for as long as it runs, even if we are killed. With an installer,
    the wait for another ends when that is halted.
    """
    with lock.open("w") as file:
        if installer is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        else:
            while not _is_taken(file):
                installer.wait(_LOOK)
        yield file.fileno()


def _is_taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Making:
    """One environment while it is made."""

    def __init__(self, installer: Installer, lock: int, say: Callable[[str], None]) -> None:
        self._installer = installer
        self._lock = lock
        self._say = say

    def make(self, interpreter: Interpreter, requirements: Sequence[Path], folder: Path) -> None:
        """Make it in its folder, which is not there."""
        self._say(f"making an environment with Python {interpreter.version} in {folder}")
        self._uv("venv", "--python", str(interpreter.executable), str(folder))
        python = str(folder / "bin" / "python")
        if requirements:
            self._say(f"installing {len(pinned(requirements))} pinned requirements")
            files = [word for path in requirements for word in ("--requirements", str(path))]
            words = ["pip", "install", "--python", python, "--no-compile-bytecode", "--require-hashes"]
            self._installer.persist(lambda: self._uv(*words, *files), self._say)
        listed = json.loads(self._uv("pip", "list", "--python", python, "--format", "json"))
        packages = sorted(f"{package['name']}=={package['version']}" for package in listed)
        if packages:
            self._compile(interpreter, folder)
        marker = folder / f"{_COMPLETE}.new"
        marker.write_text(json.dumps(packages, indent=1))
        marker.rename(folder / _COMPLETE)

    def _compile(self, interpreter: Interpreter, folder: Path) -> None:
        packages = Path("lib", f"python{interpreter.version.rpartition('.')[0]}", "site-packages")
        others = folder.parent.glob(f"python{interpreter.version}-*/{_COMPLETE}")
        share_bytecode(folder / packages, [each.parent / packages for each in others])
        command = compile_command(folder / "bin" / "python", folder / packages)
        done = self._installer.run(command, self._lock)
        if done.returncode < 0:
            raise _killed("compileall", done.returncode)

    def _uv(self, *words: str) -> str:
        """Run uv and return its output.

        It gets our own environment variables (the certificates, the index) and trusts the system's certificates,
        so that it reaches whatever index the user's machine reaches; from `/` it finds no project's settings. It
        ends with us, and whatever is left of it has the lock: nobody clears a folder into which it writes.
        """
        done = self._installer.run([find_uv(), "--system-certs", *words], self._lock)
        if done.returncode == 0:
            return done.stdout
        what = f"uv {' '.join(words[:2])}"
        if done.returncode < 0:
            raise _killed(what, done.returncode)
        tail = [line.strip() for line in done.stderr.splitlines() if line.strip()][-_OUTPUT_LINES:]
        problem = f"{what} failed:\n" + "\n".join(f"  {line}" for line in tail)
        if is_of_network(done.stderr):
            raise OutOfReach(
                problem, hint="is a package index within reach? uv's settings are used, such as UV_INDEX_URL"
            )
        if words[:2] != ("pip", "install"):
            raise Unavailable(problem, hint="no pin is at fault: look at the disk's space, then run it again")
        raise FailedPrecondition(problem, hint="check the pins and hashes in the image's requirements.txt")


def _killed(what: str, status: int) -> Unavailable:
    return Unavailable(
        f"{what} was ended by signal {-status}",
        hint="run it again; if that comes back, look at the machine's memory",
    )


def pinned(requirements: Sequence[Path]) -> list[str]:
    """Return the pins of requirement files as `name==version`, sorted."""
    found = set()
    for path in requirements:
        for line in path.read_text().splitlines():
            if "==" in line and not line.lstrip().startswith(("#", "-")):
                found.add(line.split(";")[0].split()[0])
    return sorted(found)
