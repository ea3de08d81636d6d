"""Find the container engine of this machine, and the words that make it work here.

Docker's and Podman's command lines are nearly the same; what differs is kept on this page. Podman asks for higher
limits than a process without CAP_SYS_RESOURCE may give, and its default runtime, crun, refuses machines
whose cgroups are partly version 1; both are common inside of virtual machines and containers.

Read next: build.py (who uses it).
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pachlet.errors import FailedPrecondition, NotFound

NAMES = ("docker", "podman")

_DOCKER_HINT = (
    "a build by Docker goes to the package index by itself: if that failed, give --base an image that knows the "
    "index and its certificates, or use --engine podman"
)
_PODMAN_PROCESSES = 32768
"""Podman lowers its own limit to this, so a container can't have more."""
_FILES = 65536


@dataclass(frozen=True)
class Engine:
    """A container engine that answers."""

    name: str
    program: tuple[str, ...]
    """The command and the words that go before every verb."""
    limits: tuple[str, ...]
    """Words for every `build` and `run`."""
    build_hint: str = ""
    """What to try where a build fails."""

    def run(self, *words: str) -> str:
        """Run a verb of the engine and return what it printed; its complaints go through to our stderr.

        Raises:
            FailedPrecondition: it failed.
        """
        done = subprocess.run([*self.program, *words], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise FailedPrecondition(
                f"{self.name} {words[0]} failed: exit status {done.returncode}",
                hint=self.build_hint if words[0] == "build" else "",
            )
        return done.stdout.strip()


def find_engine(wanted: str = "") -> Engine:
    """Return the engine `wanted`, or whichever answers.

    Raises:
        NotFound: none is installed, or none answers (a Docker without its daemon).
    """
    for name in [wanted] if wanted else NAMES:
        if not shutil.which(name):
            continue
        # `version` asks Docker's daemon too, so a client alone fails here.
        if subprocess.run([name, "version"], capture_output=True, check=False).returncode == 0:
            return _podman() if name == "podman" else Engine(name, (name,), (), _DOCKER_HINT)
    raise NotFound(
        f"there is no {wanted or 'container engine'} on this machine that answers",
        hint="install podman with the system's package manager, or start Docker",
    )


def _podman() -> Engine:
    pure_cgroups = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    runtime = () if pure_cgroups or not shutil.which("runc") else ("--runtime", "runc")
    files = _at_most(resource.RLIMIT_NOFILE, _FILES)
    processes = _at_most(resource.RLIMIT_NPROC, _PODMAN_PROCESSES)
    return Engine(
        "podman",
        ("podman", *runtime),
        ("--ulimit", f"nofile={files}:{files}", "--ulimit", f"nproc={processes}:{processes}"),
    )


def _at_most(limit: int, most: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)
