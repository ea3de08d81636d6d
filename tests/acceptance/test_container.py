"""One stage in a real container: built from its Dockerfile, it makes the very bytes that the process runner makes.

The engine is Podman with a storage of the test's own, so nothing on the machine changes; the base at the bottom of
the chain is made of Debian's packages, because no registry need be within reach.

Read next: ../../images/build.py (what builds), ../../images/iris-train/Dockerfile (what is built).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.build import plan
from images.engine import Engine, find_engine
from pachlet.client import pipelines, projects, repos, watch
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_folder
from pachlet.client.put_file import FromDisk, put_file
from pachlet.errors import NotFound
from pachlet.testing import RunningServer
from pachlet.worker.images import read_recipe

ROOT = Path(__file__).parents[2]
FLOWERS = ROOT / "data" / "iris" / "iris.csv"
SPEC = json.loads((ROOT / "pipelines" / "iris" / "model.json").read_text())
IMAGE = SPEC["transform"]["image"]

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
"""


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A Podman whose images and containers are all in a folder that goes with the test."""
    if reason := why_not():
        # Where CI has installed what is needed, a test that skips would hide that containers are broken.
        (pytest.fail if os.environ.get("CONTAINERS_REQUIRED") else pytest.skip)(reason)
    # Not tmp_path: the names of sockets below it would get too long.
    with tempfile.TemporaryDirectory(prefix="pachlet-podman-") as name:
        folder = Path(name)
        (folder / "storage.conf").write_text(STORAGE.format(folder=folder, driver=driver_for(folder)))
        (folder / "containers.conf").write_text(SETTINGS.format(folder=folder))
        monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
        monkeypatch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        yield find_engine("podman")


def why_not() -> str:
    """Say why no container can be run here, or ''."""
    if os.geteuid() != 0:
        return "not root: a base image of Debian's packages and a private Podman need it"
    try:
        find_engine("podman")
    except NotFound as error:
        return f"{error} (the test keeps its images in a storage of its own, which Docker can't)"
    return "" if shutil.which("mmdebstrap") else "no mmdebstrap, which makes the base image"


def driver_for(folder: Path) -> str:
    """Name the storage driver: an overlay can't lie on an overlay, as where this itself is a container."""
    below = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True)
    return "vfs" if below.stdout.strip() == "overlayfs" else "overlay"


def test_a_container_makes_the_bytes_of_the_process_runner(
    podman: Engine, server: RunningServer, tmp_path: Path
) -> None:
    build = [sys.executable, "-m", "images.build", "--engine", "podman", "--debian-base", "iris-train"]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr

    assert app_in_image(podman) == app_by_recipe()

    flowers, out = tmp_path / "training", tmp_path / "out"
    flowers.mkdir()
    out.mkdir()
    shutil.copy(FLOWERS, flowers)
    volumes = ("--volume", f"{flowers}:/pfs/training:ro", "--volume", f"{out}:/pfs/out")
    run_container(podman, *volumes, IMAGE, *SPEC["transform"]["cmd"])

    by_container = hashes(out)
    assert set(by_container) == {"model.joblib", "model.txt"}
    assert by_container == hashes(by_process_runner(server, tmp_path / "process"))


def test_each_image_is_built_once_and_after_its_bases() -> None:
    builds = plan(["iris-train", "crypto-predict", "iris-infer"])
    below = {build.tag: build.on_top_of for build in builds}
    order = list(below)
    assert len(order) == len(builds)
    assert order[:3] == ["pachlet/base-python:1", "pachlet/base-sklearn:1", "pachlet/iris-train:latest"]
    for tag, base in below.items():
        assert base == "python:3.11-slim-bookworm" or order.index(base) < order.index(tag)


def test_an_image_brings_only_its_own_requirements_not_those_of_its_base() -> None:
    own = {
        build.name: [path.parent.name for path in build.requirements] for build in plan(["crypto-predict"])
    }
    assert own["crypto-predict"] == ["crypto-predict"]
    assert own["base-python"] == []


def test_an_unknown_image_is_a_sentence_with_the_nearest_name() -> None:
    command = [sys.executable, "-m", "images.build", "iris-trian"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no images/iris-trian/Dockerfile" in done.stderr
    assert "did you mean pachlet/iris-train?" in done.stderr
    assert "Traceback" not in done.stderr


def by_process_runner(server: RunningServer, destination: Path) -> Path:
    """Run the pipeline on a server and return a folder with its output."""
    with Connection(server.address, project="iris") as iris:
        projects.create_project(iris, "iris")
        repos.create_repo(iris, "training")
        put_file(iris, "training@master", [FromDisk("/iris.csv", FLOWERS)])
        pipelines.create_pipeline(iris, SPEC)
        assert [each.state for each in watch.wait_until_idle(iris, ["iris"])] == ["JOB_SUCCESS"]
        get_folder(iris, "model@master:/", destination)
    return destination


def run_container(podman: Engine, *words: str) -> str:
    """Run a container without network to its end and return what it printed."""
    options = ("--rm", "--network", "none", "--security-opt", "label=disable")
    return podman.run("run", *podman.limits, *options, *words)


def app_in_image(podman: Engine) -> dict[str, str]:
    """Hash what the engine's build put under /app and, to see that nothing stays of the build, under /root."""
    own = "! -name .bashrc ! -name .profile"  # these come with the base
    find = f"find /app /root -type f {own} -exec sha256sum {{}} +"
    listed = run_container(podman, IMAGE, "sh", "-c", find)
    return {line.split()[1]: line.split()[0] for line in listed.splitlines()}


def app_by_recipe() -> dict[str, str]:
    """Hash what the process runner takes to be under /app."""
    _, sources = read_recipe(IMAGE, ROOT)
    return {
        path: hashlib.sha256(source.read_bytes()).hexdigest()
        for path, source in sources.items()
        if path.startswith("/app/")
    }


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
