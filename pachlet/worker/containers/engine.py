"""Find the container engine of this machine and connect to it.

One client library, docker-py, speaks to both: Podman answers Docker's API on a socket of its own. Where the user has no
Podman socket running (it is off by default), a service is started for this process (service.py). Podman asks for
higher limits than a process without CAP_SYS_RESOURCE may give, and its default runtime, crun, refuses machines whose
cgroups are partly version 1; both are common inside virtual machines and containers, so both are seen to here.

Read next: service.py, images.py (what an engine holds), runner.py (who connects).
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.config import docker_host, has_podman_settings, runtime_folder
from pachlet.errors import FailedPrecondition, Unavailable
from pachlet.worker.containers.service import PodmanService, has_pure_cgroups

NAMES = ("docker", "podman")
_SECONDS = 300
"""How long an answer may take: an engine that is busy with a large layer makes others wait."""
_START_SECONDS = 60
_FILES = 65536
_PROCESSES = 32768
_LOOK_AGAIN = 0.02
_HINT = "install podman with the system's package manager, start Docker, or use --runner process"


@dataclass
class Engine:
    """A container engine that answers; safe to use from many threads."""

    name: str
    version: str
    client: Any
    """docker-py's low-level client; `api` is the one to use."""
    program: str = ""
    """The command line of the same engine, with which images are built; '' if there is none."""
    is_rootless: bool = False
    keeps_limits: bool = True
    """Whether it can limit memory and processes: an ordinary user's can't where control groups are of version 1."""
    service: PodmanService | None = None
    """Podman's service, if it was started for us."""

    @property
    def api(self) -> Any:
        """docker-py's low-level client, once the service behind it is there, if it is ours and had ended."""
        if self.service is not None:
            self.service.wait_until_up()
        return self.client

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
        self.client.close()
        if self.service is not None:
            self.service.close()


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
    # Docker says it among its options, Podman in a word of its own.
    is_rootless = bool(info.get("Rootless")) or any("rootless" in str(each) for each in options)
    return Engine(
        name,
        str(facts["Version"]),
        api,
        program=shutil.which(name) or "",
        is_rootless=is_rootless,
        keeps_limits=not is_rootless or has_pure_cgroups(),
    )


def _serve_podman() -> Engine:
    """Start a Podman service for this process alone."""
    service = PodmanService()
    deadline = time.monotonic() + _START_SECONDS
    found: Engine | str = "it did not start"
    while time.monotonic() < deadline and not service.trouble:
        if service.is_up and isinstance(found := _connect(service.address), Engine):
            found.service = service
            return found
        service.pause(_LOOK_AGAIN)
    service.close()
    raise FailedPrecondition(
        f"podman is installed but does not answer: {service.trouble or found}", hint=_HINT
    )


def _at_most(limit: int, most: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return most if hard == resource.RLIM_INFINITY else min(hard, most)
