"""What a worker may rely on, whether its head lies beside the store or at the far end of a connection.

Read next: pachlet/worker/head.py (the promises), test_remote_worker.py (a whole worker that is killed).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pachlet.client import jobs, repos
from pachlet.client.connection import Connection
from pachlet.client.pipelines import create_pipeline
from pachlet.clock import FakeClock
from pachlet.config import default_envs
from pachlet.errors import InvalidArgument, Refused
from pachlet.pps.local_head import LocalHead
from pachlet.remote.head import RemoteHead
from pachlet.server import Server
from pachlet.worker.head import Head, Lease, LeaseLost, NoMoreWork, Result, Task
from pachlet.worker.lease_messages import ending_message
from pachlet.worker.process import ProcessRunner
from tests.acceptance.words import ended, last_job, pfs_input, put, shell, tree


@dataclass
class Room:
    """A server without workers, a head, and a connection to see what becomes of it."""

    server: Server
    head: Head
    connection: Connection
    folder: Path
    clock: FakeClock

    def take(self, worker: str = "w") -> Lease:
        lease = self.head.take(worker, 20)
        assert lease is not None
        self.head.hold(lease, Noted())
        return lease

    def write(self, **files: str) -> list[tuple[str, str]]:
        """Make files, as a step would have."""
        for name, text in files.items():
            (self.folder / name).write_text(text)
        return [(f"/{name}", str(self.folder / name)) for name in files]

    def settle(self, lease: Lease, task: Task, state: str = "success", **files: str) -> None:
        self.head.inputs(lease, task)
        self.head.settle(lease, task, result(state), self.write(**files))

    def bytes_of(self, lease: Lease, task: Task) -> dict[str, bytes]:
        files = self.head.inputs(lease, task)
        return {file.path: b"".join(blocks) for file, blocks in self.head.read(lease, task, files)}


@dataclass
class Noted:
    """A Hold that notes what reached it."""

    reasons: list[str] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    happened: threading.Event = field(default_factory=threading.Event)

    def cancel(self, reason: str) -> None:
        self.reasons.append(reason)
        self.happened.set()

    def restart(self, datum: str, reason: str) -> None:
        self.restarts.append(datum)
        self.happened.set()


def result(state: str = "success") -> Result:
    seconds = {"download": 0.25, "process": 1.5, "upload": 0.0}
    reason = "" if state == "success" else "exit status 1"
    return Result(state, reason, 1, {"runner": "test"}, seconds, 3, 1 << 20)


@pytest.fixture(params=["local", "remote"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    runner = ProcessRunner(tmp_path, default_envs())
    clock = FakeClock()
    server = Server(
        tmp_path / "data",
        host="127.0.0.1",
        port=0,
        workers=0,
        code=tmp_path,
        envs=default_envs(),
        clock=clock,
    )
    server.start()
    folder = tmp_path / "worker"
    folder.mkdir()
    with Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        head = LocalHead(server.desk) if request.param == "local" else remote_head(connection, runner, folder)
        yield Room(server, head, connection, folder, clock)
        if isinstance(head, RemoteHead):
            head.close()
        server.stop()
    runner.close()


def remote_head(connection: Connection, runner: ProcessRunner, folder: Path) -> RemoteHead:
    return RemoteHead(connection, runner, folder / "code")


def job_of(room: Room, files: dict[str, str], **more: Any) -> None:
    """Create a pipeline whose first job has a datum for each file."""
    put(room.connection, "in@master", files)
    create_pipeline(room.connection, shell("p", "true", pfs_input("in"), **more))


def only(room: Room, file: str, lease: Lease) -> Task:
    """Return the task that reads a file."""
    (found,) = [each for each in lease.tasks if each.environ["in"] == f"/pfs/in{file}"]
    return found


def test_nothing_to_do_is_no_lease(room: Room) -> None:
    assert room.head.take("w", 0.01) is None


def test_a_lease_says_all_that_a_worker_needs(room: Room) -> None:
    job_of(
        room,
        {"/a": "one"},
        transform={"env": {"X": "y"}, "accept_return_code": [3]},
        datum_timeout="7s",
        datum_tries=4,
    )
    lease = room.take()
    work = lease.work
    assert (work.project, work.pipeline, work.version, work.tries, work.timeout) == (
        "default",
        "p",
        1,
        4,
        7.0,
    )
    assert (work.transform.cmd, work.transform.stdin, work.transform.err_stdin) == (("sh",), ("true",), None)
    assert (work.transform.env["X"], work.transform.accept_return_code) == ("y", (3,))
    assert work.environ["PPS_PIPELINE_NAME"] == "p"
    assert work.image.reference == "alpine"
    (task,) = lease.tasks
    assert task.environ["PACH_DATUM_ID"] == task.id
    assert task.environ["PACH_JOB_ID"] == work.job
    assert room.head.prepare(lease, print).provenance["sandbox"]


def test_inputs_are_read_whole_and_in_part(room: Room) -> None:
    big = "x" * 3_000_000
    put(room.connection, "in@master", {"/d/a": "one", "/d/b": "", "/d/c": big})
    create_pipeline(room.connection, shell("p", "true", pfs_input("in", "/")))
    lease = room.take()
    (task,) = lease.tasks
    assert room.bytes_of(lease, task) == {"in/d/a": b"one", "in/d/b": b"", "in/d/c": big.encode()}
    files = {each.path: each for each in room.head.inputs(lease, task)}
    assert [files[each].size for each in sorted(files)] == [3, 0, 3_000_000]
    asked = [files["in/d/c"], files["in/d/a"]]
    found = [(file.path, len(b"".join(blocks))) for file, blocks in room.head.read(lease, task, asked)]
    assert found == [("in/d/c", 3_000_000), ("in/d/a", 3)]


def test_equal_bytes_have_equal_keys(room: Room) -> None:
    put(room.connection, "in@master", {"/a": "same", "/b": "same", "/c": "other"})
    create_pipeline(room.connection, shell("p", "true", pfs_input("in", "/")))
    lease = room.take()
    a, b, c = room.head.inputs(lease, lease.tasks[0])
    assert a.key == b.key != c.key


def test_a_settled_datum_is_recorded_whole(room: Room) -> None:
    job_of(room, {"/a": "one"})
    lease = room.take()
    room.settle(lease, lease.tasks[0], x="output", y="")
    room.head.give_back(lease)
    info = last_job(room.connection, "p")
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(room.connection, "p@master") == {"/x": "output", "/y": ""}
    assert (info.stats.download_bytes, info.stats.upload_bytes) == (3, 6)
    assert info.stats.process_time.seconds == 1


def test_what_breaks_off_on_its_way_is_not_recorded(room: Room) -> None:
    """Of a worker that is killed in between, all that it had sent may seem to be all that it wrote."""
    job_of(room, {"/a": "one"})
    lease = room.take()
    task = lease.tasks[0]
    half = [{"ending": ending_message(lease.token, task.id, result())}, {"piece": {"path": "/x"}}]
    with pytest.raises(InvalidArgument, match="did not come whole"):
        room.connection.send("pachlet.v1.Work", "Settle", half)
    room.settle(lease, task, x="output")
    assert ended(last_job(room.connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(room.connection, "p@master") == {"/x": "output"}


def test_twice_is_once(room: Room) -> None:
    job_of(room, {"/a": "one", "/b": "two"}, datum_set_spec={"number": 2})
    lease = room.take()
    a, b = only(room, "/a", lease), only(room, "/b", lease)
    room.settle(lease, a, x="first")
    with pytest.raises(LeaseLost, match=a.id):
        room.head.settle(lease, a, result(), room.write(x="second"))
    room.settle(lease, b, y="other")
    assert ended(last_job(room.connection, "p")) == ("SUCCESS", 2, 0, 0, 2)
    assert tree(room.connection, "p@master") == {"/x": "first", "/y": "other"}


def test_what_was_not_settled_goes_to_another(room: Room) -> None:
    job_of(room, {"/a": "1", "/b": "2", "/c": "3"}, datum_set_spec={"number": 3})
    lease = room.take()
    room.settle(lease, only(room, "/b", lease), b="b")
    room.head.give_back(lease)
    with pytest.raises(LeaseLost):
        room.head.settle(lease, only(room, "/a", lease), result(), [])
    other = room.take("other")
    assert sorted(each.environ["in"] for each in other.tasks) == ["/pfs/in/a", "/pfs/in/c"]
    for task in other.tasks:
        room.settle(other, task)
    assert ended(last_job(room.connection, "p")) == ("SUCCESS", 3, 0, 0, 3)


def test_a_failed_datum_fails_the_job_and_writes_nothing(room: Room) -> None:
    job_of(room, {"/a": "1", "/b": "2"}, datum_set_spec={"number": 2})
    lease = room.take()
    bad = only(room, "/a", lease)
    room.settle(lease, bad, "failed")
    room.settle(lease, only(room, "/b", lease), b="b")
    info = last_job(room.connection, "p")
    assert ended(info) == ("FAILURE", 1, 0, 1, 2)
    assert info.reason.startswith(f"datum {bad.id} failed")


def test_a_recovered_datum_fails_nothing(room: Room) -> None:
    job_of(room, {"/a": "1"})
    lease = room.take()
    room.settle(lease, lease.tasks[0], "recovered")
    info = last_job(room.connection, "p")
    assert (ended(info), info.data_recovered) == (("SUCCESS", 0, 0, 0, 1), 1)


def test_a_stopped_job_reaches_the_worker_and_refuses_what_it_settles(room: Room) -> None:
    job_of(room, {"/a": "1"})
    lease, noted = room.take(), Noted()
    room.head.hold(lease, noted)
    (task,) = lease.tasks
    room.head.inputs(lease, task)
    jobs.stop_job(room.connection, f"p@{lease.work.job}")
    assert noted.happened.wait(20)
    with pytest.raises(LeaseLost):
        room.head.settle(lease, task, result(), room.write(x="late"))
    room.head.give_back(lease)
    assert ended(last_job(room.connection, "p"))[0] == "KILLED"
    assert tree(room.connection, "p@master") == {}
    late = Noted()
    room.head.hold(lease, late)
    assert late.reasons


def test_a_datum_is_begun_anew_where_it_is_in_hand(room: Room) -> None:
    job_of(room, {"/a": "1", "/b": "2"}, datum_set_spec={"number": 2})
    lease, noted = room.take(), Noted()
    room.head.hold(lease, noted)
    a = only(room, "/a", lease)
    name = {"id": lease.work.job, "pipeline": {"name": "p", "project": {"name": "default"}}}

    def restart(*filters: str) -> None:
        room.connection.call("pps_v2.API", "RestartDatum", {"job": name, "data_filters": filters})

    nothing = f"datum matching filter [/a] could not be found for job ID {lease.work.job}"
    with pytest.raises(Refused) as refused:
        restart("/a")
    assert refused.value.message == nothing
    room.head.inputs(lease, a)
    with pytest.raises(Refused, match=r"filter \[/b\]"):
        restart("/b")
    restart("/a")
    assert noted.happened.wait(20)
    assert noted.restarts == [a.id]
    room.settle(lease, a)
    with pytest.raises(Refused, match=r"filter \[\]"):
        restart()


def test_lines_reach_the_log_in_order(room: Room) -> None:
    job_of(room, {"/a": "1"})
    lease = room.take()
    (task,) = lease.tasks
    room.head.inputs(lease, task)
    with room.head.attempt(lease, task, "me-0") as lines:
        for number in range(2500):
            lines.add(f"line {number}")
    room.head.say(lease, task, "me-0", "about it")
    room.settle(lease, task)
    info = last_job(room.connection, "p")
    logged = [
        each for each in room.connection.call("pps_v2.API", "GetLogs", {"job": info.job}) if each.datum_id
    ]
    assert [each.message for each in logged if each.user] == [f"line {number}" for number in range(2500)]
    assert [each.message for each in logged if not each.user] == ["about it"]
    assert {(each.worker_id, each.datum_id) for each in logged} == {("me-0", task.id)}


def test_a_pipeline_has_no_more_workers_than_it_asks_for(room: Room) -> None:
    files = {f"/{number}": str(number) for number in range(6)}
    job_of(room, files, parallelism_spec={"constant": 2}, datum_set_spec={"number": 1})
    first, second = room.take("1"), room.take("2")
    assert room.head.take("3", 0.01) is None
    room.head.give_back(first)
    third = room.take("3")
    assert {first.tasks[0].id} == {third.tasks[0].id} != {second.tasks[0].id}


def test_the_job_with_the_fewest_workers_is_served_first(room: Room) -> None:
    files = {f"/{number}": str(number) for number in range(6)}
    put(room.connection, "in@master", files)
    for name in ("slow", "quick"):
        spec = shell(
            name,
            "true",
            pfs_input("in"),
            parallelism_spec={"constant": 9},
            datum_set_spec={"number": 1},
        )
        create_pipeline(room.connection, spec)
        room.server.desk.leases.wait_for_offers(1 if name == "slow" else 2)
    order = [room.take(str(number)).work.pipeline for number in range(6)]
    assert order == ["slow", "quick"] * 3


def test_the_server_says_when_there_is_no_more_work(room: Room) -> None:
    room.server.desk.leases.close()
    if isinstance(room.head, LocalHead):
        with pytest.raises(NoMoreWork):
            room.head.take("w", 5)
    else:
        assert room.head.take("w", 0.01) is None  # it may come back


def test_a_worker_that_falls_silent_has_lost_its_lease(room: Room) -> None:
    """By the engine's clock; a worker in the server's own process lives as long as its server."""
    job_of(room, {"/a": "1"})
    lease = room.take()
    (task,) = lease.tasks
    if isinstance(room.head, RemoteHead):
        room.head.close()  # it renews no more
        room.clock.advance(3600)
        other = RemoteHead(room.connection, room.head._runner, room.folder / "code")
        taken = other.take("other", 5)
        assert taken is not None
        assert [each.id for each in taken.tasks] == [task.id]
        with pytest.raises(LeaseLost, match=f"lease {lease.token} is void"):
            room.head.settle(lease, task, result(), room.write(x="late"))
        other.inputs(taken, taken.tasks[0])
        other.settle(taken, taken.tasks[0], result(), room.write(x="in time"))
        other.close()
    else:
        room.clock.advance(3600)
        assert room.head.take("other", 0.01) is None
        room.settle(lease, task, x="in time")
    assert ended(last_job(room.connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(room.connection, "p@master") == {"/x": "in time"}
