"""Datum batching in a container: the suite of the process runner, and a relay that leads to the worker.

Left out is what a step without batching is told when it asks for datums: in a container it finds no worker to ask.

Read next: test_runner_batching.py (the suite), ../../pachlet/worker/containers/loop.py (the relay).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from pachlet.worker.containers.engine import Engine
from pachlet.worker.containers.runner import ContainerRunner
from pachlet.worker.interface import Prepared
from tests.contracts.test_runner_batching import (  # noqa: F401
    ROOT,
    give,
    open_session,
    test_a_datum_ends_though_its_process_prints_on,
    test_a_process_that_exits_before_the_end_fails_the_datum,
    test_a_process_that_never_asks_fails_the_datum,
    test_a_reported_error_fails_the_datum_and_restarts_the_process,
    test_a_step_made_for_batching_runs_without_it_too,
    test_a_timeout_and_a_kill_end_the_datum_in_hand,
    test_each_datum_gets_its_own_environment_and_env_file,
    test_err_cmd_runs_beside_the_process_that_stays,
    test_one_process_serves_datum_after_datum,
    write_code,
)

PINS = "images/shout/requirements.txt"


@pytest.fixture(scope="module")
def runner(container_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerRunner]:
    installs = (
        f"COPY {PINS} /opt/shout/requirements.txt\n"
        "RUN pip install --no-cache-dir --require-hashes -r /opt/shout/requirements.txt\n"
    )
    code = write_code(tmp_path_factory.mktemp("code"), installs=installs, **{PINS: pins_of_grpc()})
    runner = ContainerRunner(code, f"batching {os.getpid()}", container_engine)  # the engine is shared
    yield runner
    runner._remove_left_over()


@pytest.fixture(scope="module")
def prepared(runner: ContainerRunner, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    snapshot = tmp_path_factory.mktemp("snapshots") / "shout"
    return runner.prepare(runner.resolve("pachlet/shout"), snapshot, lambda line: None)


def pins_of_grpc() -> str:
    """Return what a base of ours pins of gRPC, hashes and all."""
    text = (ROOT / "images" / "base-frames" / "requirements.txt").read_text()
    found = re.findall(r"^(?:grpcio|typing-extensions)==.*(?:\n .*)*", text, re.MULTILINE)
    assert len(found) == 2
    return "\n".join(found) + "\n"


def test_without_batching_no_variable_leads_to_a_worker(open_session) -> None:  # noqa: F811
    _, lines = give(open_session(("env",), batching=False), "one")
    assert not [line for line in lines if "_PORT=" in line]
    _, lines = give(open_session(("env",), batching=True), "one")
    assert {line.partition("=")[0] for line in lines if "_PORT=" in line} == {
        "PPS_WORKER_GRPC_PORT",
        "PACHLET_DATUMS_PORT",
    }
