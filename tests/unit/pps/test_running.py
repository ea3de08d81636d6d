"""Jobs when the engine itself is at fault: they end with a reason, and none is tried for ever."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.metadb.changes import Closed
from pachlet.pps import running
from pachlet.worker.datum_run import DatumRun
from pachlet.worker.process import ProcessRunner
from tests.acceptance.words import create, ended, last_job, pfs_input, put, shell


@pytest.fixture
def connection(tmp_path: Path) -> Any:
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connected:
        repos.create_repo(connected, "in")
        put(connected, "in@master", {"/a": "1", "/b": "2"})
        yield connected


def fail_with(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error, reason",
    [
        (RuntimeError("oops"), "RuntimeError: oops (a bug of pachlet; the server's log has more)"),
        (OSError(28, "No space left on device"), "a file of the server's could not be used: [Errno 28]"),
    ],
)
def test_worker_that_breaks_ends_its_job(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    monkeypatch.setattr(running.log, "error", lambda *_, **__: None)
    with monkeypatch.context() as broken:
        broken.setattr(DatumRun, "run", fail_with(error))
        info = create(connection, shell("p", "cp /pfs/in/* /pfs/out/", pfs_input("in")))
        assert ended(info)[0] == "FAILURE"
        assert info.reason.startswith(reason)
    info = create(connection, shell("p", "cp /pfs/in/* /pfs/out/", pfs_input("in")), update=True)
    assert ended(info) == ("SUCCESS", 2, 0, 0, 2)


def test_runner_that_breaks_ends_its_job(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.log, "error", lambda *_, **__: None)
    monkeypatch.setattr(ProcessRunner, "open", fail_with(RuntimeError("no session")))
    info = create(connection, shell("p", "true", pfs_input("in")))
    assert (ended(info)[0], "no session" in info.reason) == ("FAILURE", True)


def test_job_that_breaks_while_the_server_stops_is_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ctrl-C reaches programs that the server runs, too: what they say then is no fault of the job.
    reached = threading.Event()

    def prepare(self: Any, pipeline: Any) -> None:
        reached.set()
        with pytest.raises(Closed):
            self._engine.database.changes.until(lambda: None)
        raise RuntimeError("interrupted")

    with monkeypatch.context() as stopping:
        stopping.setattr(running.log, "error", lambda *_, **__: None)
        stopping.setattr(running.JobRun, "_prepare", prepare)
        with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", {"/a": "1"})
            pipelines.create_pipeline(connection, shell("p", "true", pfs_input("in")))
            assert reached.wait(10)
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
