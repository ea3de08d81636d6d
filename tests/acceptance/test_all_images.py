"""Every image of images/ is built from its Dockerfile and takes in its own steps; the main job in containers makes the
very bytes that the process runner makes.

In each run of the suite: all images but those on TensorFlow, and the pipelines of crypto up to its linear model.
`make soak`: all of them, and the whole main job, the LSTM included.

Read next: test_container.py, ../container_engine.py, ../../pipelines/main_job.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from images.build import every_name, reference
from pachlet import testing
from pachlet.cli.progress import Progress
from pachlet.client import pipelines, watch
from pachlet.client.connection import Connection
from pachlet.client.files import walk_file
from pachlet.client.jobs import SUCCESS, list_job, state_of
from pachlet.worker.containers.engine import Engine
from pachlet.worker.containers.images import is_ours
from pachlet.worker.containers.runner import ContainerRunner
from pachlet.worker.dockerfile import read_dockerfile
from pachlet.worker.interface import Transform
from pipelines import main_job
from pipelines.making import price_files
from tests.acceptance.made import made

ROOT = Path(__file__).parents[2]
HEAVY = "base-tensorflow"
SAMPLE = ("ingest", "audit", "standardise", "split", "train-linear")
TAKE_IN = """
import importlib, pathlib, sys
sys.path.insert(0, "/app")
found = sorted(pathlib.Path("/app").rglob("*.py"))
for path in found:
    importlib.import_module(".".join(path.relative_to("/app").with_suffix("").parts))
print(len(found))
"""
"""Import all that an image copies: what it needs is there, in versions that go together."""


def images() -> list[object]:
    """Return each image's name; those that take minutes to build are for the soak."""
    return [
        pytest.param(name, marks=pytest.mark.soak if HEAVY in chain(name) else ()) for name in every_name()
    ]


def chain(name: str) -> list[str]:
    """Name an image and those below it; by its FROM alone, as each worker of the suite asks for all of them."""
    path = f"images/{name}/Dockerfile"
    below = read_dockerfile(ROOT / path, path)[0].words[0]
    return [name, *(chain(below.removeprefix("pachlet/").partition(":")[0]) if is_ours(below) else [])]


@pytest.fixture(scope="module")
def runner(container_engine: Engine) -> Iterator[ContainerRunner]:
    runner = ContainerRunner(ROOT, f"all images {os.getpid()}", container_engine)  # the engine is shared
    yield runner
    runner._remove_left_over()


@pytest.mark.parametrize("name", images())
def test_an_image_is_built_and_takes_in_its_steps(runner: ContainerRunner, name: str, tmp_path: Path) -> None:
    image = runner.resolve(reference(name))
    prepared = runner.prepare(image, tmp_path / "snapshot", print)
    transform = Transform(image.reference, cmd=("python", "-c", TAKE_IN))
    session = runner.open(prepared, transform, tmp_path / "session", {})
    lines: list[str] = []
    outcome = session.run({}, lines.append, 120)
    session.close()
    copied = list((prepared.files / "app").rglob("*.py"))
    assert (outcome.reason, lines[-1:]) == ("", [str(len(copied))]), lines


def test_a_sample_of_the_main_job_in_containers_makes_the_bytes_of_the_process_runner(
    container_engine: Engine, tmp_path: Path
) -> None:
    process, container = (run_sample(tmp_path / kind, kind) for kind in ("process", "container"))
    assert {path.partition(":")[0] for path in process} == set(SAMPLE)
    assert container == process


@pytest.mark.soak
def test_the_main_job_in_containers_makes_the_bytes_of_the_process_runner(
    container_engine: Engine, tmp_path: Path
) -> None:
    """But for the ids of commits, which forecasts and what reads them name."""
    process, container = (run_main_job(tmp_path / kind, kind) for kind in ("process", "container"))
    assert any(path.startswith("crypto/train-lstm:") for path in process)
    assert container.keys() == process.keys()
    assert [path for path in process if container[path] != process[path]] == []


def run_sample(folder: Path, kind: str) -> dict[str, str]:
    """Run some pipelines of crypto on a few made-up coins; return the hash of each file that they made."""
    coins = folder / "coins"
    maker = [sys.executable, ROOT / "data" / "synthetic_coins.py", coins, "--coins", "5", "--days", "150"]
    subprocess.run(maker, check=True)
    with (
        testing.server(folder / "data", code=ROOT, runner=kind) as server,
        Connection(server.address, project="crypto") as crypto,
    ):
        main_job.put_crypto_data(crypto, price_files(coins), Progress(sys.stdout, live=False, colour=False))
        for name in SAMPLE:
            spec = json.loads((ROOT / "pipelines" / "crypto" / f"{name}.json").read_text())
            pipelines.create_pipeline(crypto, spec)
        watch.wait_until_idle(crypto, ["crypto"])  # it tells of those only that had not ended before
        ended = [
            (each.job.pipeline.name, state_of(each), each.reason) for each in list_job(crypto, details=False)
        ]
        assert sorted(ended) == sorted((name, SUCCESS, "") for name in SAMPLE)
        return hashes(crypto, SAMPLE)


def run_main_job(folder: Path, kind: str) -> dict[str, bytes]:
    """Run the main job; return each file that its pipelines made."""
    progress = Progress(sys.stdout, live=False, colour=False)
    with testing.server(folder / "data", code=ROOT, runner=kind) as server:
        assert main_job.run(server.address, None, folder / "output", progress) == 0
        files = {}
        for project in ("crypto", "iris"):
            with Connection(server.address, project=project) as connection:
                names = [each.pipeline.name for each in pipelines.list_pipeline(connection)]
                files |= {f"{project}/{path}": content for path, content in made(connection, names).items()}
        return files


def hashes(connection: Connection, repos: Iterable[str]) -> dict[str, str]:
    """Return the hash of each file at the head of repos."""
    return {
        f"{repo}:{info.file.path}": info.hash.hex()
        for repo in repos
        for info in walk_file(connection, f"{repo}@master:/")
        if not info.file.path.endswith("/")
    }
