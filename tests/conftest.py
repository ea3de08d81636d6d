"""Fixtures of the whole suite: a running server, a connection to it, and the real data where it is at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pachlet import testing
from pachlet.client.connection import Connection
from pachlet.config import default_workers
from pachlet.testing import RunningServer
from pachlet.worker.containers.engine import Engine
from tests.container_engine import remove_storage, shared_engine

ROOT = Path(__file__).parent.parent

# As in the steps' images: a library's threads spin while they wait for one another, and take from the other workers of
# the suite what they wait for. It is read when a library is loaded, which is later than this.
for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(variable, "1")

# These machines are noisy, so no example is judged by its time; `make soak` looks at many more of them.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=3000)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def container_engine() -> Iterator[Engine]:
    """A container engine with a base image; skipped where there is none."""
    with shared_engine() as engine:
        yield engine


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: a third of the suite's time is waiting for disks and servers."""
    return default_workers() + 1


SLOW = (
    "docs/test_readme",
    "docs/test_tutorials",
    "docs/test_how_to",
    "acceptance/test_main_job.py",
    "test_whole_company",
)
"""Tests of half a minute and more: one that a worker met last would keep all the others waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each worker, who takes an equal part of the list before it takes from others, begin with some slow tests."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if any(name in item.path.as_posix() for name in SLOW)]
    others = [item for item in items if item not in set(slow)]
    items[:] = [
        item
        for worker in range(workers)
        for part in (slow, others)
        for item in part[len(part) * worker // workers : len(part) * (worker + 1) // workers]
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the engine's storage once no worker uses it any more."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        remove_storage()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server of this test alone, with the repository's images."""
    with testing.server(tmp_path / "data", code=ROOT) as running:
        yield running


@pytest.fixture
def connection(server: RunningServer) -> Iterator[Connection]:
    """A connection to it, in the default project."""
    with Connection(server.address) as connection:
        yield connection


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; a test that needs it is skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data lies outside of the repository and is not on this machine")
    return folder
