"""A container engine for tests: Podman with a storage that all workers of one test run share and that goes with it.

Nothing on the machine changes. The base at the bottom of the images is made of Debian's own packages, because no
registry need be within reach, and is imported once for a run.

Read next: tests/acceptance/test_container.py, tests/contracts/test_runner_in_containers.py (who uses it).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from images.debian_base import import_debian_base
from pachlet.errors import PachletError
from pachlet.worker.containers.engine import Engine, find_engine

STORAGE = """[storage]
driver = "{driver}"
graphroot = "{folder}/root"
runroot = "{folder}/run"
[storage.options.overlay]
skip_mount_home = "true"
"""
# Locks in files, because those in shared memory would be shared with every other Podman of this user.
SETTINGS = """[engine]
tmp_dir = "{folder}/tmp"
lock_type = "file"
events_logger = "file"
cgroup_manager = "cgroupfs"
"""
# Registries of tests are on the loopback, and speak no TLS.
REGISTRIES = """unqualified-search-registries = []
[[registry]]
location = "127.0.0.1"
insecure = true
"""

# The process that all workers of this run are children of, or this one.
_RUN = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
FOLDER = Path(tempfile.gettempdir(), f"pachlet-podman-{_RUN}")
"""Not below pytest's own folder: the names of sockets in it would get too long."""


def why_not() -> str:
    """Say why no container can be run here, or ''."""
    if os.geteuid() != 0:
        return "not root: a base image of Debian's packages and a private Podman need it"
    if not shutil.which("podman"):
        return "no podman (the tests keep their images in a storage of their own, which Docker can't)"
    return "" if shutil.which("mmdebstrap") else "no mmdebstrap, which makes the base image"


def skip_without_engine() -> None:
    """Skip the test where there is no engine; fail where CI has installed one, since a skip would hide a breakage."""
    if reason := why_not():
        (pytest.fail if os.environ.get("CONTAINERS_REQUIRED") else pytest.skip)(reason)


@contextmanager
def shared_engine(folder: Path = FOLDER) -> Iterator[Engine]:
    """Give an engine whose images and containers are all in `folder`, with a base image in it."""
    skip_without_engine()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "CONTAINERS_STORAGE_CONF": "storage.conf",
        "CONTAINERS_CONF": "containers.conf",
        "CONTAINERS_REGISTRIES_CONF": "registries.conf",
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, name in settings.items():
            patch.setenv(variable, str(folder / name))
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "ready").exists():
                (folder / "storage.conf").write_text(STORAGE.format(folder=folder, driver=driver_for(folder)))
                (folder / "containers.conf").write_text(SETTINGS.format(folder=folder))
                (folder / "registries.conf").write_text(REGISTRIES)
            engine = find_engine("podman")
            if not (folder / "ready").exists():
                try:
                    import_debian_base(engine, print)
                except PachletError as error:
                    engine.close()
                    pytest.fail(f"no base image: {error}")
                (folder / "ready").touch()
        try:
            yield engine
        finally:
            engine.close()


def remove_storage(folder: Path = FOLDER) -> None:
    """Remove what `shared_engine` made; the containers in it are gone already, or go now."""
    if not (folder / "storage.conf").exists():
        return
    environ = {
        **os.environ,
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
    }
    subprocess.run(["podman", "rm", "--all", "--force"], env=environ, capture_output=True, check=False)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([each for each in mounts if each.startswith(str(folder))]):
        subprocess.run(["umount", mount], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def driver_for(folder: Path) -> str:
    """Name the storage driver: an overlay can't lie on an overlay, as where this itself is a container."""
    below = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True)
    return "vfs" if below.stdout.strip() == "overlayfs" else "overlay"
