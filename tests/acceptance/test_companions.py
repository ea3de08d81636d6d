"""Many short datums are run by processes beside the server: what comes of them is the same, whatever ends such a one.

Read next: pachlet/worker/companion.py, test_remote_worker.py (workers that share nothing with their server).
"""

from __future__ import annotations

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import datums, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import Unavailable
from pachlet.pps import reading_ahead
from pachlet.worker import companion
from pachlet.worker.companion import Companions
from pachlet.worker.nursery import Nursery
from tests.acceptance.batching_step import batching_step
from tests.acceptance.processes import descendants
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.typed import Terminal
from tests.acceptance.words import create, ended, job, last_job, pfs_input, put, put_id, tree

STEP = """
import os, socket
from pathlib import Path
from pachlet.step import main

def run(inputs, out):
    name = os.environ["in"].rpartition("/")[2]
    text = (inputs / "in" / name).read_text()
    print("at", name, flush=True)
    if text == "fail":
        raise ValueError("no such luck")
    if text == "large":
        (out / name).write_bytes(b"x" * 200_000)
    elif text == "many":
        for number in range(100):
            (out / f"{name}-{number}").write_text(str(number))
    elif text == "link":
        (out / name).symlink_to(inputs / "in" / name)
    elif text == "pipe":
        os.mkfifo(out / name)
    elif text.startswith("ask "):
        with socket.create_connection(("127.0.0.1", int(text[4:]))) as gate:
            gate.sendall(f"{name}\\n".encode())
            (out / name).write_text(gate.makefile().readline())
    else:
        (out / name).write_text(text.upper())

main(run, batching=True)
"""
PLAIN = {f"/f{number:02}": f"text {number}" for number in range(40)}


@dataclass
class Room:
    """A server with the image of the step, and a connection to it."""

    connection: Connection
    transform: dict[str, Any]

    def spec(self, name: str = "p", **more: Any) -> dict[str, Any]:
        """Return a pipeline that gives a companion all datums of a job at once."""
        return {
            "pipeline": {"name": name},
            "transform": {**self.transform, **more.pop("transform", {})},
            "input": pfs_input("in"),
            "datum_set_spec": {"number": 100},
            "metadata": {"annotations": {"pachlet/network": "allow"}},
            **more,
        }


@contextmanager
def room_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    transform = batching_step(folder / "code", STEP, monkeypatch)
    with (
        testing.server(folder / "data", code=folder / "code") as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        yield Room(connection, transform)


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    with room_of(tmp_path, monkeypatch) as made:
        yield made


class Gate:
    """Where a datum that asks is kept until it is let pass."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self.text = f"ask {self._listener.getsockname()[1]}"

    def meet(self) -> socket.socket:
        """Return the connection of a datum that asks now."""
        met, _ = self._listener.accept()
        assert met.makefile().readline()
        return met

    def let_pass(self, word: str) -> None:
        with self.meet() as met:
            met.sendall(f"{word}\n".encode())

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.close()


def companions(server: int | None = None) -> list[int]:
    """Return the companions that a server has, but for the process that forks them; by default one of this process."""
    found = {each for each in descendants(server or os.getpid()) if is_of_companions(each)}
    return sorted(each for each in found if parent_of(each) in found)


def is_of_companions(process: int) -> bool:
    with suppress(OSError):  # it is gone
        return b"companion_process.py" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def parent_of(process: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def wait_for_line(connection: Connection, job: Any, line: str) -> Any:
    """Return a line of a job's log once it is there."""
    lines = connection.call("pps_v2.API", "GetLogs", {"job": job, "follow": True})
    return next(each for each in lines if each.message == line)


def what_came(room: Room) -> dict[str, Any]:
    """Return all that can be seen of a job, but for times and ids."""
    files = {
        **PLAIN,
        "/fail": "fail",
        "/large": "large",
        "/many": "many",
        "/link": "link",
        "/pipe": "pipe",
        "/empty": "",
    }
    put(room.connection, "in@master", files)
    spec = room.spec(transform={"err_cmd": ["sh", "-c", 'test "$in" != /pfs/in/pipe']}, datum_tries=2)
    info = create(room.connection, spec)
    call = room.connection.call
    lines = [(each.user, each.message) for each in call("pps_v2.API", "GetLogs", {"job": info.job})]
    found = [
        (each.state, each.stats.download_bytes, each.stats.upload_bytes)
        for each in call("pps_v2.API", "ListDatum", {"job": info.job})
    ]
    return {
        "ended": ended(info),
        "reason": info.reason.replace(info.job.id, "ID").partition(":")[2],
        "lines": Counter(
            # how long it took, and of an environment that nobody has made before
            line
            for line in lines
            if " after " not in line[1] and "environment" not in line[1]
        ),
        "datums": Counter(found),
        "peaks": {
            each.stats.process_time.ToNanoseconds() > 0
            for each in call("pps_v2.API", "ListDatum", {"job": info.job})
        },
        "tree": tree(room.connection, "p@master") if info.output_commit.id else {},
    }


def test_a_companion_brings_what_a_worker_of_the_server_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room_of(tmp_path / "companion", monkeypatch) as room:
        by_companion = what_came(room)
        assert len(companions()) == 1
    assert not companions()
    assert not list((tmp_path / "companion" / "data" / "scratch").iterdir())
    monkeypatch.setattr(companion, "MANY", 1000)
    with room_of(tmp_path / "server", monkeypatch) as room:
        by_server = what_came(room)
        assert not companions()
    assert by_companion == by_server
    assert by_server["ended"][0] == "FAILURE"  # of /pipe, which wrote no file


def test_a_companion_stays_for_the_next_job(room: Room) -> None:
    put(room.connection, "in@master", PLAIN)
    assert ended(create(room.connection, room.spec())) == ("SUCCESS", 40, 0, 0, 40)
    (first,) = companions()
    more = {f"/g{number}": "more" for number in range(companion.MANY)}
    id = put_id(room.connection, "in@master", more)
    assert ended(job(room.connection, "p", id)) == ("SUCCESS", len(more), 40, 0, 40 + len(more))
    assert companions() == [first]
    texts = tree(room.connection, "p@master")
    assert texts == {path: text.upper() for path, text in {**PLAIN, **more}.items()}
    pipelines.delete_pipeline(room.connection, "p")


def test_what_a_killed_companion_had_is_run_by_the_server(room: Room, gate: Gate) -> None:
    put(room.connection, "in@master", {**PLAIN, "/f20": gate.text})
    pipelines.create_pipeline(room.connection, room.spec())
    with gate.meet():
        (first,) = companions()
        os.kill(first, signal.SIGKILL)
        gate.let_pass("second")
    info = last_job(room.connection, "p")
    assert ended(info) == ("SUCCESS", 40, 0, 0, 40)
    assert tree(room.connection, "p@master") == {
        **{path: text.upper() for path, text in PLAIN.items()},
        "/f20": "second\n",
    }
    lines = [each.message for each in room.connection.call("pps_v2.API", "GetLogs", {"job": info.job})]
    assert len([each for each in lines if "a process that ran datums of this job is gone" in each]) == 1


def test_a_datum_of_a_companion_is_begun_anew(room: Room, gate: Gate) -> None:
    put(room.connection, "in@master", {**PLAIN, "/f20": gate.text})
    pipelines.create_pipeline(room.connection, room.spec())
    with gate.meet():
        (running,) = jobs.list_job(room.connection, pipeline="p")
        wait_for_line(room.connection, running.job, "at f20")  # so the server has heard that it was begun
        datums.restart_datum(room.connection, f"p@{running.job.id}", ["/f20"])
        gate.let_pass("anew")
    assert ended(last_job(room.connection, "p")) == ("SUCCESS", 40, 0, 0, 40)
    assert tree(room.connection, "p@master")["/f20"] == "anew\n"


def test_a_job_of_a_companion_is_stopped(room: Room, gate: Gate) -> None:
    put(room.connection, "in@master", {**PLAIN, "/f20": gate.text})
    pipelines.create_pipeline(room.connection, room.spec())
    with gate.meet() as met:
        (running,) = jobs.list_job(room.connection, pipeline="p")
        jobs.stop_job(room.connection, f"p@{running.job.id}")
        assert met.recv(1) == b""  # the step is gone
    id = put_id(room.connection, "in@master", {"/f20": "goes on"})
    assert ended(job(room.connection, "p", id))[0] == "SUCCESS"


def test_what_is_printed_is_in_the_log_while_the_datum_runs(room: Room, gate: Gate) -> None:
    put(room.connection, "in@master", {**PLAIN, "/f20": gate.text})
    pipelines.create_pipeline(room.connection, room.spec())
    with gate.meet() as met:
        (running,) = jobs.list_job(room.connection, pipeline="p")
        assert wait_for_line(room.connection, running.job, "at f20").user
        met.sendall(b"heard\n")
    assert ended(last_job(room.connection, "p"))[0] == "SUCCESS"


def test_large_inputs_are_read_by_the_server_itself(room: Room) -> None:
    large = dict.fromkeys(list(PLAIN)[:20], "x" * 100000)  # the datums come in an order of their own
    put(room.connection, "in@master", {**PLAIN, **large})
    assert ended(create(room.connection, room.spec())) == ("SUCCESS", 40, 0, 0, 40)
    assert not companions()


def test_files_that_are_moved_just_then_are_read_by_the_server_itself(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_ahead, "read_together", lambda store, places: {})
    put(room.connection, "in@master", PLAIN)
    assert ended(create(room.connection, room.spec())) == ("SUCCESS", 40, 0, 0, 40)
    assert not companions()


def test_a_companion_is_given_as_much_of_a_set_at_a_time_as_is_for_it(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_ahead, "_ALL_DATUMS", 34)
    files = {f"/f{number:02}": f"text {number}" for number in range(90)}  # 34, 34 and 22 for the server
    put(room.connection, "in@master", files)
    taken: list[int] = []
    take = Companions.take

    def note(self: Any, sessions: Any, lease: Any, prepared: Any) -> Any:
        taken.append(len(lease.tasks))
        return take(self, sessions, lease, prepared)

    monkeypatch.setattr(Companions, "take", note)
    info = create(room.connection, room.spec())
    assert ended(info) == ("SUCCESS", 90, 0, 0, 90)
    assert taken == [34, 34]
    lines = room.connection.call("pps_v2.API", "GetLogs", {"job": info.job})
    workers = {each.worker_id for each in lines if each.worker_id}
    assert workers == {"pipeline-p-v1-0-companion", "pipeline-p-v1-0"}
    assert len(companions()) == 1
    assert tree(room.connection, "p@master") == {path: text.upper() for path, text in files.items()}


def test_there_are_companions_also_after_something_was_purged(room: Room, tmp_path: Path) -> None:
    put(room.connection, "in@master", {**PLAIN, "/secret": "born in London"})
    type = Terminal(str(room.connection.address), tmp_path)
    type.ok("purge", "in@master:/secret", "--reason", "asked for", "--yes")
    assert ended(create(room.connection, room.spec(input=pfs_input("in", "/f*")))) == (
        "SUCCESS",
        40,
        0,
        0,
        40,
    )
    assert len(companions()) == 1


def test_a_companion_dies_with_its_server(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    transform = batching_step(tmp_path / "code", STEP, monkeypatch)
    before = (
        "from pathlib import Path; import pytest; from tests.acceptance.batching_step import batching_step; "
        f"batching_step(Path({str(tmp_path / 'code')!r}), {STEP!r}, pytest.MonkeyPatch())\n"
    )
    data, code = tmp_path / "data", str(tmp_path / "code")
    with (
        ServerProcess(data, "--code", code, before=before) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {**PLAIN, "/f20": gate.text})
        pipelines.create_pipeline(connection, Room(connection, transform).spec())
        with gate.meet():
            assert len(companions(server.process.pid)) == 1
            server.kill()
    with (
        ServerProcess(data, "--code", code, before=before) as server,
        Connection(server.address) as connection,
    ):
        gate.let_pass("after")
        assert ended(last_job(connection, "p")) == ("SUCCESS", 40, 0, 0, 40)
        assert tree(connection, "p@master")["/f20"] == "after\n"


def test_where_no_process_can_be_had_the_server_runs_all_datums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise Unavailable("another process can't be started: Cannot allocate memory")

    monkeypatch.setattr(Nursery, "start", refuse)
    with room_of(tmp_path, monkeypatch) as room:
        put(room.connection, "in@master", PLAIN)
        spec = room.spec(transform={"memory_volume": True})
        assert ended(create(room.connection, spec)) == ("SUCCESS", 40, 0, 0, 40)
        assert not companions()
    assert not list(Path("/dev/shm").glob(f"pachlet-volume-{os.getpid()}-*"))
