"""Kills at bad moments: what was recorded stays and is not done again, what was not leaves no trace."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from pachlet.errors import NotFound, PachletError
from pachlet.pfs.finishing import Finisher
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import (
    PFS,
    PPS,
    add,
    create,
    ended,
    head,
    last_job,
    pfs_input,
    put,
    shell,
    tree,
)

BEGINNING = "beginning to run user code"
DATUMS = 24


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def recorded(data_dir: Path) -> dict[str, int]:
    """Return the datums that a dead server had recorded, and how often each had begun."""
    database = sqlite3.connect(data_dir / "pachlet.db")
    query = "SELECT d.id, count(*) FROM datums d JOIN logs l ON l.datum = d.id WHERE message = ? GROUP BY 1"
    found = dict(database.execute(query, (BEGINNING,)))
    database.close()
    return found


def begun(connection: Connection, job: Any) -> list[str]:
    """Return the datum of each line that says that one begins."""
    lines = connection.call(PPS, "GetLogs", {"job": job})
    return [each.datum_id for each in lines if each.message == BEGINNING]


def wait_for_starts(connection: Connection, job: Any, number: int) -> None:
    """Return when so many datums of a job have begun."""
    lines = connection.call(PPS, "GetLogs", {"job": job, "follow": True})
    for line in lines:
        number -= line.message == BEGINNING
        if not number:
            return
    raise AssertionError("the job ended before it could be killed")


def test_job_that_was_killed_twice_goes_on_and_repeats_nothing(data_dir: Path) -> None:
    script = "sleep 0.02; echo $PACH_DATUM_ID >/pfs/out/$(basename $in)"
    before: dict[str, int] = {}
    job: Any = None
    for starts in (DATUMS // 3, DATUMS // 4):
        with ServerProcess(data_dir) as server:
            with Connection(server.address) as connection:
                told = 0
                if job is None:
                    repos.create_repo(connection, "in")
                    put(connection, "in@master", {f"/{number:02}": "x" for number in range(DATUMS)})
                    spec = shell("work", script, pfs_input("in"), parallelism_spec={"constant": 2})
                    pipelines.create_pipeline(connection, spec)
                    job = next(jobs.list_job(connection, "work")).job
                else:
                    told = len(begun(connection, job))
                wait_for_starts(connection, job, told + starts)
            server.kill()
        known, before = before, recorded(data_dir)
        assert known.items() < before.items()  # what was known runs no more
        assert len(known) < len(before) < DATUMS
    with ServerProcess(data_dir) as server, Connection(server.address) as connection:
        info = last_job(connection, "work")
        assert ended(info) == ("SUCCESS", DATUMS, 0, 0, DATUMS)
        assert info.restart == 2
        said = pipelines.inspect_pipeline(connection, "work").reason
        assert said.startswith("image alpine is no folder of images/")  # so said whoever resumed it, too
        ids = {each.datum.id for each in connection.call(PPS, "ListDatum", {"job": job})}
        counts = Counter(begun(connection, job))
        assert {id: counts[id] for id in before} == before
        output = tree(connection, "work@master")
        assert sorted(output) == [f"/{number:02}" for number in range(DATUMS)]
        assert {text.strip() for text in output.values()} == ids
        assert server.terminate() == 0


@pytest.mark.parametrize("end", [ServerProcess.kill, ServerProcess.terminate])
def test_put_whose_server_ends_leaves_no_trace(
    data_dir: Path, end: Callable[[ServerProcess], object]
) -> None:
    sent, may_go_on = threading.Event(), threading.Event()

    def messages() -> Iterator[dict[str, Any]]:
        yield {"set_commit": commit("default", "a@master")}
        for number in range(5):
            yield add(f"/{number}", "x" * 1_000_000)
        sent.set()
        may_go_on.wait()
        yield add("/last", "x")

    with ServerProcess(data_dir) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "a")
        open_commit = commits.start_commit(connection, "a@open")
        put(connection, "a@open", {"/kept": "1"})
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(connection.send, PFS, "ModifyFile", messages())
            assert sent.wait(10)
            end(server)
            may_go_on.set()
            with pytest.raises(PachletError, match="ended before it answered") as cut:
                call.result(30)
            assert "jobs go on where they were" in cut.value.hint
    with ServerProcess(data_dir) as server, Connection(server.address) as connection:
        with pytest.raises(NotFound, match='branch "master" not found'):
            head(connection, "a@master")
        assert tree(connection, f"a@{open_commit.id}") == {"/kept": "1"}
        put(connection, "a@master", {"/x": "1"})
        assert tree(connection, "a@master") == {"/x": "1"}
        commits.finish_commit(connection, "a@open")
        assert tree(connection, "a@open") == {"/kept": "1"}


def test_commits_that_were_finishing_are_settled_at_the_next_start(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with testing.server(data_dir) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        create(connection, shell("copy", "cp /pfs/a/* /pfs/out/", pfs_input("a")))
        put(connection, "a@master", {"/1": "x"})
        last_job(connection, "copy")
        with monkeypatch.context() as crash:  # as if the engine were killed right after each FinishCommit
            crash.setattr(Finisher, "_settle_some", lambda self, keys, staged: [])
            commits.start_commit(connection, "a@master")
            put(connection, "a@master", {"/2": "y"})
            commits.finish_commit(connection, "a@master")
            info = head(connection, "a@master")
            assert (info.HasField("finishing"), info.HasField("finished")) == (True, False)
            put(connection, "a@master", {"/3": "z"})  # and one behind it
    with testing.server(data_dir) as running, Connection(running.address) as connection:
        assert tree(connection, "a@master") == {"/1": "x", "/2": "y", "/3": "z"}
        assert ended(last_job(connection, "copy")) == ("SUCCESS", 1, 2, 0, 3)
        assert tree(connection, "copy@master") == {"/1": "x", "/2": "y", "/3": "z"}


def test_job_whose_commits_were_finishing_succeeds_at_the_next_start(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with testing.server(data_dir) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        put(connection, "a@master", {"/1": "x"})
        with monkeypatch.context() as crash:
            crash.setattr(Finisher, "_settle_some", lambda self, keys, staged: [])
            pipelines.create_pipeline(connection, shell("copy", "cp /pfs/a/* /pfs/out/", pfs_input("a")))
            job = next(jobs.list_job(connection, "copy")).job
            for _ in connection.call(PPS, "SubscribeJob", {"pipeline": job.pipeline}):
                break
            until_finishing(connection, job)
    with testing.server(data_dir) as running, Connection(running.address) as connection:
        assert ended(last_job(connection, "copy")) == ("SUCCESS", 1, 0, 0, 1)
        assert tree(connection, "copy@master") == {"/1": "x"}
        lines = [each.message for each in connection.call(PPS, "GetLogs", {"job": job})]
        assert lines.count(BEGINNING) == 1


def until_finishing(connection: Connection, job: Any) -> None:
    """Return when the work of a job is done and its commits are left to be settled."""
    done = "processed 1, skipped 0"
    for line in connection.call(PPS, "GetLogs", {"job": job, "follow": True}):
        if line.message.startswith(done):
            break
    while jobs.state_of(jobs.inspect_job(connection, f"copy@{job.id}")) != "JOB_FINISHING":
        pass


def test_everything_survives_an_orderly_end(data_dir: Path) -> None:
    for turn in range(3):
        with ServerProcess(data_dir) as server:
            with Connection(server.address) as connection:
                if not turn:
                    repos.create_repo(connection, "a")
                put(connection, "a@master", {f"/{turn}": "x" * turn})
                assert len(tree(connection, "a@master")) == turn + 1
            assert server.terminate() == 0
        assert not (data_dir / "server.json").exists()


def test_damaged_data_fails_the_commit_that_needs_it_and_not_the_server(data_dir: Path) -> None:
    with testing.server(data_dir) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "a")
        put(connection, "a@master", {"/x": "some text " * 20, "/y": "1"})
    (pack,) = (data_dir / "packs").glob("*.pack")
    pack.write_bytes(pack.read_bytes()[:60] + bytes(len(pack.read_bytes()) - 60))
    with testing.server(data_dir) as running, Connection(running.address) as connection:
        with pytest.raises(PachletError, match="is damaged") as refused:
            tree(connection, "a@master")
        assert refused.value.code == "DATA_LOSS"
        put(connection, "a@master", {"/x": "more"}, append=True)  # needs the damaged part to be joined to it
        assert "is damaged" in commits.wait_commit(connection, "a@master").error
        put(connection, "a@master", {"/x": "again", "/y": "2"})
        assert tree(connection, "a@master") == {"/x": "again", "/y": "2"}
