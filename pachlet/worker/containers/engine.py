"""Find the container engine of this machine and connect to it.

One client library, docker-py, speaks to both: Podman answers Docker's API on a socket of its own. Where the user has no
Podman socket running (it is off by default), a service is started for this process and ends with it. Podman asks for
higher limits than a process without CAP_SYS_RESOURCE may give, and its default runtime, crun, refuses machines whose
cgroups are partly version 1; both are common inside virtual machines and containers, so both are seen to here.

Read next: images.py (what an engine holds), runner.py (who connects).
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pachlet.config import docker_host, has_podman_settings, runtime_folder
from pachlet.errors import FailedPrecondition, Unavailable

NAMES = ("docker", "podman")
_SECONDS = 60
"""How long an answer may take; pulls and builds have their own streams."""
_START_SECONDS = 15
_FILES = 65536
_PROCESSES = 32768
_HINT = "install podman with the system's package manager, start Docker, or use --runner process"


@dataclass
class Engine:
    """A container engine that answers; safe to use from many threads."""

    name: str
    version: str
    api: Any
    """docker-py's low-level client."""
    program: str = ""
    """The command line of the same engine, with which images are built; '' if there is none."""
    is_rootless: bool = False
    _service: subprocess.Popen[bytes] | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, repr=False)

    @property
    def ulimits(self) -> list[dict[str, Any]]:
        """Limits of open files and processes that the engine is able to give on this machine."""
        if self.name != "podman":
            return []
        return [
            {"Name": "nofile", "Soft": files, "Hard": files}
            for files in [_at_most(resource.RLIMIT_NOFILE, _FILES)]
        ] + [
            {"Name": "nproc", "Soft": many, "Hard": many}
            for many in [_at_most(resource.RLIMIT_NPROC, _PROCESSES)]
        ]

    def close(self) -> None:
        """Let go of the engine, and end the service if it was started for us."""
        self.api.close()
        if self._service is not None:
            self._service.terminate()
            self._service.wait()
        if self._folder is not None:
            self._folder.cleanup()


@contextlib.contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Say in our words what the engine complains of while the block runs.

    Raises:
        FailedPrecondition: the engine refused.
        Unavailable: it does not answer (any more).
    """
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.APIError as error:
        said = (error.explanation or str(error)).strip()
        raise FailedPrecondition(f"the container engine refused {doing}: {said}") from None
    except (requests.RequestException, OSError) as error:
        raise Unavailable(f"the container engine gave no answer to {doing}: {error}", hint=_HINT) from None


def find_engine(wanted: str = "") -> Engine:
    """Connect to the engine `wanted` ('' is any), which must answer.

    DOCKER_HOST counts first, as for every Docker client; then Docker's usual socket; then Podman's; then a Podman
    service of our own.

    Raises:
        FailedPrecondition: there is none, or none that answers; the sentence says what was tried.
    """
    try:
        import docker  # noqa: F401
    except ImportError:
        raise FailedPrecondition(
            "the client library of container engines is not installed",
            hint="pip install 'pachlet[containers]', or use --runner process",
        ) from None
    tried = []
    for address in _addresses(wanted):
        found = _connect(address)
        if isinstance(found, Engine) and wanted in ("", found.name):
            return found
        if isinstance(found, Engine):
            found.close()
        else:
            tried.append(f"{address}: {found}")
    if wanted in ("", "podman") and shutil.which("podman"):
        return _serve_podman()
    what = wanted or "container engine"
    raise FailedPrecondition(
        f"no {what} answers on this machine" + (f" ({'; '.join(tried)})" if tried else ""), hint=_HINT
    )


def _addresses(wanted: str) -> Iterator[str]:
    if host := docker_host():
        yield host
        return
    runtime = runtime_folder()
    sockets = {
        "docker": [
            "/var/run/docker.sock",
            f"{runtime}/docker.sock",
            str(Path.home() / ".docker/run/docker.sock"),
        ],
        "podman": [f"{runtime}/podman/podman.sock", "/run/podman/podman.sock"],
    }
    if has_podman_settings():
        return  # a Podman with settings of its own: a service that others started does not have them
    for name in NAMES:
        if wanted in ("", name):
            yield from (f"unix://{path}" for path in sockets[name] if os.access(path, os.W_OK))


def _connect(address: str) -> Engine | str:
    """Return the engine at an address, or why there is none."""
    import docker
    import docker.errors
    import requests

    try:
        api = docker.APIClient(base_url=address, version="auto", timeout=_SECONDS)
        facts, info = api.version(), api.info()
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        return str(error)
    components = [each["Name"] for each in facts.get("Components", [])]
    name = "podman" if any("podman" in each.lower() for each in components) else "docker"
    options = info.get("SecurityOptions") or []
    return Engine(
        name,
        str(facts["Version"]),
        api,
        program=shutil.which(name) or "",
        is_rootless=any("rootless" in str(each) for each in options),
    )


def _serve_podman() -> Engine:
    """Start a Podman service for this process alone."""
    folder = tempfile.TemporaryDirectory(prefix="pachlet-engine-")
    address = f"unix://{folder.name}/socket"
    log = Path(folder.name, "log")
    with log.open("wb") as out:
        service = subprocess.Popen(
            [*_with_us(), "podman", *podman_options(), "system", "service", "--time=0", address],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder.name,  # its container monitors leave notes in theirs
            start_new_session=True,  # Ctrl-C at a terminal is for the server, which then ends this one
        )
    deadline = time.monotonic() + _START_SECONDS
    found: Engine | str = "it did not start"
    while time.monotonic() < deadline and service.poll() is None:
        if Path(folder.name, "socket").exists() and isinstance(found := _connect(address), Engine):
            found._service, found._folder = service, folder
            return found
        with contextlib.suppress(subprocess.TimeoutExpired):  # it has no way to tell that it is ready
            service.wait(0.02)
    service.kill()
    service.wait()
    said = log.read_text(errors="replace").strip().splitlines()
    folder.cleanup()
    raise FailedPrecondition(
        f"podman is installed but does not answer: {said[-1] if said else found}", hint=_HINT
    )


def _with_us() -> list[str]:
    """Return the words before a command that is to end with us, even if we are killed."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def podman_options() -> list[str]:
    """Return the words that make Podman work here, before its verb."""
    pure_cgroups = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return [] if pure_cgroups or not shutil.which("runc") else ["--runtime", "runc"]


def _at_most(limit: int, most: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)
