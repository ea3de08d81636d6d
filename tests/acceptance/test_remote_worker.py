"""Workers in processes of their own that share no disk with their server, and are killed in the middle of a datum.

Read next: pachlet/remote/process.py, ../contracts/test_head.py (each promise by itself).
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import jobs, repos
from pachlet.client.connection import Connection
from pachlet.client.pipelines import create_pipeline
from pachlet.clock import FakeClock
from pachlet.errors import PachletError
from pachlet.pps.leases import MOST_LOST
from pachlet.remote.process import run_worker
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import create, ended, last_job, pfs_input, put, shell, tree
from tests.acceptance.worker_process import WorkerProcess

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def server(tmp_path: Path) -> Any:
    with testing.server(tmp_path / "data", code=ROOT, workers=0) as running:
        yield running


def test_a_worker_that_shares_no_disk_runs_a_job(
    server: testing.RunningServer, connection: Connection, tmp_path: Path
) -> None:
    worker = WorkerProcess(server.address, server.data_dir, tmp_path / "worker")
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/d/b": "2"})
    info = create(connection, shell("copy", "echo busy; cp -r /pfs/in/* /pfs/out/", pfs_input("in")))
    assert ended(info) == ("SUCCESS", 2, 0, 0, 2)
    assert tree(connection, "copy@master") == {"/a": "1", "/d/b": "2"}
    lines = [
        each.message for each in connection.call("pps_v2.API", "GetLogs", {"job": info.job}) if each.user
    ]
    assert lines == ["busy", "busy"]
    # The next job reads what this one wrote, and only what is new.
    put(connection, "in@master", {"/c": "3"})
    assert ended(last_job(connection, "copy")) == ("SUCCESS", 1, 2, 0, 3)
    assert worker.end() == 0
    assert not list((tmp_path / "worker" / "scratch").iterdir())


def test_a_remote_worker_feeds_lazy_inputs_when_they_are_opened(
    server: testing.RunningServer, connection: Connection, tmp_path: Path
) -> None:
    worker = WorkerProcess(server.address, server.data_dir, tmp_path / "worker")
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "alpha\n" * 200_000, "/b": "beta", "/never": "x" * 1000})
    script = (
        "test -p /pfs/in/a && head -n 1 /pfs/in/a >/pfs/out/a; "
        "cat /pfs/in/b /pfs/in/b >/pfs/out/b; ln -s /pfs/in/never /pfs/out/"
    )
    info = create(connection, shell("lazy", script, pfs_input("in", "/", lazy=True)))
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(connection, "lazy@master") == {"/a": "alpha\n", "/b": "betabeta", "/never": "x" * 1000}
    assert info.stats.download_bytes == 0  # what is lazy is not brought beforehand
    assert worker.end() == 0


def test_a_worker_gets_the_code_of_an_image_from_its_server(
    connection: Connection, server: testing.RunningServer, tmp_path: Path
) -> None:
    worker = WorkerProcess(server.address, server.data_dir, tmp_path / "worker")
    repos.create_repo(connection, "training")
    text = (ROOT / "data" / "iris" / "iris.csv").read_text()
    put(connection, "training@master", {"/iris.csv": text})
    spec = {
        "pipeline": {"name": "model"},
        "transform": {"image": "pachlet/iris-train", "cmd": ["python", "--version"]},
        "input": pfs_input("training", "/"),
    }
    info = create(connection, spec)
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
    (snapshot,) = (tmp_path / "worker" / "code").iterdir()
    assert (snapshot / "files" / "app").is_dir()
    assert worker.end() == 0


class Gate:
    """Where each run of a step asks for leave to go on, and tells which datum it has."""

    SCRIPT = 'exec 3<>/dev/tcp/127.0.0.1/{port}; echo $in >&3; read -r line <&3; echo "$line" >/pfs/out/$(basename $in)'

    def __init__(self, seconds: float = 30) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(seconds)
        self.port = int(self.listener.getsockname()[1])
        self.runs: list[str] = []

    def spec(self, **more: Any) -> dict[str, Any]:
        script = self.SCRIPT.format(port=self.port)
        allow = {"annotations": {"pachlet/network": "allow"}}
        transform = {"cmd": ["bash"]}
        return shell("p", script, pfs_input("in"), transform=transform, metadata=allow, **more)

    def meet(self) -> socket.socket:
        """Wait for a run; it goes on once it is answered."""
        met, _ = self.listener.accept()
        self.runs.append(met.makefile().readline().strip())
        return met

    def let_pass(self, word: str = "passed") -> None:
        with self.meet() as met:
            met.sendall(word.encode() + b"\n")

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.close()


def test_a_worker_that_is_killed_in_the_middle_of_a_datum_is_replaced(tmp_path: Path, gate: Gate) -> None:
    """What it had settled stays, what it had in hand is run by another, and each output is there once."""
    clock = FakeClock()
    with (
        testing.server(tmp_path / "data", workers=0, clock=clock) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "", "/b": "", "/c": "", "/d": ""})
        create_pipeline(connection, gate.spec(datum_set_spec={"number": 4}))
        first = WorkerProcess(server.address, server.data_dir, tmp_path / "first")
        gate.let_pass("first")
        with gate.meet():  # the second datum, in the middle of which the worker is killed
            assert first.end(signal.SIGKILL) == -signal.SIGKILL
        clock.advance(60)  # nobody has heard of it for so long
        second = WorkerProcess(server.address, server.data_dir, tmp_path / "second")
        for _ in range(3):
            gate.let_pass("second")
        assert ended(last_job(connection, "p")) == ("SUCCESS", 4, 0, 0, 4)
        assert second.end() == 0
        finished, broken_off, *others = gate.runs
        assert others[0] == broken_off
        assert sorted({finished, *others}) == [f"/pfs/in/{name}" for name in "abcd"]
        texts = tree(connection, "p@master")
        assert texts.pop(finished.removeprefix("/pfs/in")) == "first\n"
        assert sorted(texts.values()) == ["second\n"] * 3


def test_a_datum_that_no_worker_survives_has_failed_in_the_end(tmp_path: Path, gate: Gate) -> None:
    """It is given up after three workers, with a reason; what else the job has is done by a fourth."""
    clock = FakeClock()
    with (
        testing.server(tmp_path / "data", workers=0, clock=clock) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/deadly": "", "/other": ""})
        create_pipeline(connection, gate.spec(datum_set_spec={"number": 2}))
        for number in range(MOST_LOST):
            worker = WorkerProcess(server.address, server.data_dir, tmp_path / f"{number}")
            with gate.meet():
                worker.end(signal.SIGKILL)
            clock.advance(60)
        (running,) = jobs.list_job(connection, pipeline="p")
        assert running.reason == "waiting for a worker; none is there (`pachlet worker` is one)"
        last = WorkerProcess(server.address, server.data_dir, tmp_path / "last")
        gate.let_pass()
        info = last_job(connection, "p")
        assert ended(info) == ("FAILURE", 1, 0, 1, 2)
        deadly, other = gate.runs[0], gate.runs[-1]
        assert gate.runs == [deadly] * MOST_LOST + [other]
        assert deadly != other
        assert f": {MOST_LOST} workers were lost in the middle of it" in info.reason
        lines = [each.message for each in connection.call("pps_v2.API", "GetLogs", {"job": info.job})]
        assert len([each for each in lines if "was lost in the middle of this datum" in each]) == MOST_LOST
        assert last.end() == 0


def test_a_worker_without_its_server_waits_for_it(tmp_path: Path, gate: Gate) -> None:
    """The server is killed in the middle of a datum and comes back: its worker goes on, on new leases."""
    data = tmp_path / "data"
    with ServerProcess(data, "--workers", "0") as server, Connection(server.address) as connection:
        port = int(server.address.rpartition(":")[2])
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "", "/b": ""})
        create_pipeline(connection, gate.spec(datum_set_spec={"number": 2}))
        worker = WorkerProcess(server.address, data, tmp_path / "worker")
        gate.let_pass("before")
        met = gate.meet()
        server.kill()
    with (
        met,
        ServerProcess(data, "--workers", "0", port=port) as server,
        Connection(server.address) as connection,
    ):
        for _ in range(2 - len(settled(connection))):
            gate.let_pass("after")
        assert ended(last_job(connection, "p")) == ("SUCCESS", 2, 0, 0, 2)
        assert worker.end() == 0
        assert set(tree(connection, "p@master")) == {"/a", "/b"}


def test_a_worker_empties_no_folder_that_is_not_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "scratch" / "kept"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(PachletError, match=r"is not of a worker, and scratch/ in it holds files"):
        run_worker("127.0.0.1:1", tmp_path, tmp_path, 1, "", lambda name: None)
    assert kept.exists()


def settled(connection: Connection) -> list[str]:
    """Return the datums that are recorded of the job."""
    job = next(jobs.list_job(connection, pipeline="p")).job
    return [each.datum.id for each in connection.call("pps_v2.API", "ListDatum", {"job": job})]
