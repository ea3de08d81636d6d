"""The server as a process and under load: how it ends, what it refuses, that no call waits for another."""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pachlet import testing
from pachlet.api.admission import MOST_WAITING
from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.backup import back_up
from pachlet.client.connection import Connection
from pachlet.errors import PachletError, ResourceExhausted
from pachlet.metadb import mounts
from pachlet.testing import RunningServer
from pachlet.wire import schema
from tests.acceptance.processes import descendants
from tests.acceptance.server_process import ServerProcess, refusal
from tests.acceptance.words import PFS, PPS, create, ended, job, pfs_input, put, put_id, shell, tree


def test_second_server_on_a_data_directory_is_refused(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data") as running:
        said = refusal(tmp_path / "data", "--port", "0")
        assert "another server is running on" in said
        assert running.address in said


def test_port_in_use_is_refused_and_leaves_nothing_running(tmp_path: Path) -> None:
    with testing.server(tmp_path / "one") as running:
        port = running.address.rpartition(":")[2]
        assert f"port {port} of 127.0.0.1 is in use" in refusal(tmp_path / "two", "--port", port)
    with testing.server(tmp_path / "two") as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")


def test_data_directory_that_can_not_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "can't be used: it is no folder; choose another" in refusal(tmp_path / "file", "--port", "0")


@pytest.mark.parametrize("name", ["scratch", "code", "nonces"])
def test_a_folder_of_somebodys_own_is_no_data_directory(tmp_path: Path, name: str) -> None:
    thesis = tmp_path / "project" / name / "sub" / "thesis"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("a year's work")
    mode = (tmp_path / "project" / name).stat().st_mode
    with (
        pytest.raises(PachletError, match=rf"it has no pachlet.db\), and {name}/ in it holds files"),
        testing.server(tmp_path / "project"),
    ):
        pass
    assert thesis.read_text() == "a year's work"
    assert (tmp_path / "project" / name).stat().st_mode == mode
    assert [each.name for each in (tmp_path / "project").iterdir()] == [name]
    thesis.unlink()
    thesis.parent.rmdir()
    with testing.server(tmp_path / "project"):  # which may be what a first start that was killed has left
        pass


def test_a_backup_is_not_served_from(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data") as running, Connection(running.address) as connection:
        back_up(connection, tmp_path / "backup", lambda size: lambda more: None)
    before = sorted((tmp_path / "backup").iterdir())
    said = refusal(tmp_path / "backup", "--port", "0")
    assert f"`pachlet restore {tmp_path / 'backup'} --data-dir NEW`" in said
    assert sorted((tmp_path / "backup").iterdir()) == before


@pytest.mark.parametrize("left", [None, b""], ids=["gone", "empty"])
def test_packs_without_their_database_are_not_taken_for_garbage(tmp_path: Path, left: bytes | None) -> None:
    with testing.server(tmp_path / "data") as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        put(connection, "a@master", {"/f": "1"})
    database = tmp_path / "data" / "pachlet.db"
    kept = database.rename(tmp_path / "kept.db")
    if left is not None:
        database.write_bytes(left)
    said = refusal(tmp_path / "data", "--port", "0")
    assert "the database that says which, pachlet.db, is gone" in said
    kept.replace(database)
    with testing.server(tmp_path / "data") as running, Connection(running.address) as connection:
        assert tree(connection, "a@master") == {"/f": "1"}


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_data_directory_on_a_network_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    shared = tmp_path / "a share"
    shared.mkdir()
    point = str(shared).replace(" ", "\\040")
    said = f"22 1 0:1 / / rw - ext4 /dev/vda rw\n23 22 0:9 / {point} rw,relatime shared:1 - {kind} host:/share rw\n"
    (tmp_path / "mountinfo").write_bytes(said.encode() + b"24 22 0:2 / /caf\xe9\x85 rw - ext4 /dev/vdb rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "mountinfo")
    with (
        pytest.raises(PachletError, match=rf"is on a network file system \({kind}\)"),
        testing.server(shared / "data"),
    ):
        pass
    assert not (shared / "data").exists()
    with testing.server(tmp_path / "data"):
        pass


def test_data_directory_whose_links_lead_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("data")
    with (
        pytest.raises(PachletError, match=r"data can.t be used: "),
        testing.server(tmp_path / "data"),
    ):
        pass


def test_data_directory_that_can_not_be_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(PachletError, match=r"lock can't be locked \(No locks available\)"),
        testing.server(tmp_path / "data"),
    ):
        pass


def test_data_of_a_newer_pachlet_is_refused(tmp_path: Path) -> None:
    import sqlite3

    with testing.server(tmp_path / "data"):
        pass
    database = sqlite3.connect(tmp_path / "data" / "pachlet.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert "made by a newer pachlet" in refusal(tmp_path / "data", "--port", "0")


def test_a_bug_of_the_server_is_told_with_its_traceback_on_stderr(tmp_path: Path) -> None:
    broken = (
        "import pachlet.pfs.repos as repos\n"
        "def broken(*_, **__): raise ZeroDivisionError('of this test')\n"
        "repos.list_repos = broken\n"
    )
    with ServerProcess(tmp_path / "data", before=broken) as running:
        with (
            Connection(running.address) as connection,
            pytest.raises(PachletError, match="its log says where"),
        ):
            list(repos.list_repo(connection))
        running.terminate()
    assert "ERROR pachlet.api.handlers: pfs_v2.API/ListRepo failed; this is a bug of pachlet" in running.said
    assert "in broken" in running.said
    assert "ZeroDivisionError: of this test" in running.said
    assert "INFO" not in running.said


def test_server_ends_at_once_although_a_job_runs_and_clients_wait(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        pipelines.create_pipeline(connection, shell("slow", "echo started; sleep 600", pfs_input("in")))
        made = next(jobs.list_job(connection, "slow")).job
        lines = connection.call(PPS, "GetLogs", {"job": made, "follow": True})
        assert any(line.message == "started" for line in lines)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(commits.wait_commit, connection, f"slow@{made.id}")
            assert len(descendants(server.process.pid)) > 1
            assert server.terminate() == 0
            with pytest.raises(PachletError):
                waiting.result(30)
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        info = jobs.inspect_job(connection, f"slow@{made.id}")
        assert jobs.state_of(info) in (
            "JOB_CREATED",
            "JOB_STARTING",
            "JOB_RUNNING",
        )  # neither failed nor killed


def test_streams_that_wait_starve_no_call(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put(connection, "a@master", {"/x": "1"})
    streams = [connection.call(PFS, "SubscribeCommit", {"repo": {"name": "a"}}) for _ in range(64)]
    assert len({next(stream).commit.id for stream in streams}) == 1
    connection.call(PFS, "InspectRepo", {"repo": {"name": "a"}}, timeout=5)
    id = put_id(connection, "a@master", {"/y": "1"})
    assert {next(stream).commit.id for stream in streams} == {id}
    for stream in streams:
        stream.close()


def test_clients_and_jobs_at_once(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    create(
        connection, shell("one", "cp /pfs/in/* /pfs/out/", pfs_input("in"), parallelism_spec={"constant": 2})
    )
    create(connection, shell("two", "cp /pfs/one/* /pfs/out/", pfs_input("one")))
    made: list[str] = []
    errors: list[BaseException] = []

    def client(number: int) -> None:
        try:
            with Connection(str(connection.address)) as own:
                for turn in range(2):
                    put(own, "in@master", {f"/{number}-{turn}": "x"})
                    made.append(commits.inspect_commit(own, "in@master").commit.id)
                    list(commits.list_commit(own, "two"))
                    list(own.call(PPS, "ListJob", {}))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {ended(job(connection, "two", id))[0] for id in made} == {"SUCCESS"}
    everything = {f"/{number}-{turn}": "x" for number in range(4) for turn in range(2)}
    assert tree(connection, "two@master") == everything


def test_calls_that_wait_leave_room_for_those_that_do_not(server: RunningServer) -> None:
    """A stream that waits holds a thread, and 256 of them held up whatever came next."""
    with Connection(server.address) as connection, grpc.insecure_channel(server.address) as channel:
        repos.create_repo(connection, "a")
        subscribe = channel.unary_stream(f"/{PFS}/SubscribeCommit")
        request = schema.message("pfs_v2.SubscribeCommitRequest")(repo={"name": "a", "type": "user"})
        ended: queue.SimpleQueue[grpc.Call] = queue.SimpleQueue()
        watching = [subscribe(request.SerializeToString()) for _ in range(MOST_WAITING + 5)]
        for each in watching:
            each.add_done_callback(ended.put)
        for _ in range(5):  # those that are one too many
            refused = ended.get(timeout=30)
            assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.details() == "too many calls are waiting"
        # All the others wait, and whoever does not is served.
        put(connection, "a@master", {"/x": "1"})
        assert tree(connection, "a@master") == {"/x": "1"}
        commits.start_commit(connection, "a@open")
        with pytest.raises(ResourceExhausted, match="too many calls are waiting"):
            commits.wait_commit(connection, "a@open")
        first = [each for each in watching if each.is_active()]
        assert len(first) == MOST_WAITING
        for each in first:
            assert next(each)  # each gets the commit
            each.cancel()
        commits.finish_commit(connection, "a@open")
        assert commits.wait_commit(connection, "a@open").HasField("finished")
