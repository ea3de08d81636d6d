"""How datums are run: sets, time limits, beginning anew, and what is kept warm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.clock import FakeClock
from pachlet.wire import schema
from pachlet.worker.process import ProcessRunner
from tests.acceptance.batching_step import batching_step
from tests.acceptance.processes import descendants, wait_for_end
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import create, ended, job, last_job, pfs_input, put, put_id, shell, tree, until

ROOT = Path(__file__).parent.parent.parent
IN = pfs_input("in")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def repo(tmp_path: Path, clock: FakeClock) -> Iterator[Connection]:
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        yield connection


def user_lines(connection: Connection, job: Any) -> Iterator[Any]:
    """Yield what user code prints, as it comes."""
    for each in connection.call("pps_v2.API", "GetLogs", {"job": job, "follow": True}):
        if each.user:
            yield each


def newest(connection: Connection, pipeline: str) -> Any:
    return next(jobs.list_job(connection, pipeline=pipeline)).job


def test_a_job_that_takes_too_long_is_killed(repo: Connection, clock: FakeClock) -> None:
    put(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("slow", "echo begun; sleep 600", IN, job_timeout="60s"))
    name = newest(repo, "slow")
    next(user_lines(repo, name))
    clock.advance(30)
    assert not jobs.is_terminal(jobs.inspect_job(repo, f"slow@{name.id}"))
    clock.advance(40)
    info = last_job(repo, "slow")
    assert (ended(info)[0], info.reason) == ("KILLED", "job timed out")


def test_the_time_of_a_job_goes_on_while_the_server_is_down(tmp_path: Path, clock: FakeClock) -> None:
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        pipelines.create_pipeline(connection, shell("slow", "echo begun; sleep 600", IN, job_timeout="60s"))
        next(user_lines(connection, newest(connection, "slow")))
    clock.advance(3600)
    with testing.server(tmp_path / "data", clock=clock) as server, Connection(server.address) as connection:
        info = last_job(connection, "slow")
        assert (ended(info)[0], info.reason) == ("KILLED", "job timed out")


def test_a_job_whose_packages_are_installed_says_so(
    repo: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, installed = threading.Event(), threading.Event()
    prepare = ProcessRunner.prepare

    def install(self: Any, image: Any, snapshot: Any, say: Any) -> Any:
        say("installing 14 pinned requirements")
        said.set()
        assert installed.wait(60)
        return prepare(self, image, snapshot, say)

    monkeypatch.setattr(ProcessRunner, "prepare", install)
    put(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("one", "true", IN))
    try:
        assert said.wait(60)
        info = jobs.inspect_job(repo, f"one@{newest(repo, 'one').id}")
    finally:
        installed.set()
    assert (ended(info)[0], info.reason) == ("RUNNING", "installing 14 pinned requirements")
    info = last_job(repo, "one")
    assert (ended(info)[0], info.reason) == ("SUCCESS", "")
    lines = repo.call("pps_v2.API", "GetLogs", {"pipeline": {"name": "one"}, "master": True})
    assert "installing 14 pinned requirements" in [each.message for each in lines]


def test_a_quick_job_meets_no_time_limit(repo: Connection, clock: FakeClock) -> None:
    put(repo, "in@master", {"/a": "1"})
    assert ended(create(repo, shell("quick", "true", IN, job_timeout="60s"))) == ("SUCCESS", 1, 0, 0, 1)
    clock.advance(3600)
    assert ended(last_job(repo, "quick")) == ("SUCCESS", 1, 0, 0, 1)


def test_a_running_datum_is_begun_anew_and_that_is_no_try(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("p", "echo begun; sleep 600", IN, datum_tries=1))
    name = newest(repo, "p")
    lines = user_lines(repo, name)
    first = next(lines)
    for _ in range(3):
        repo.call("pps_v2.API", "RestartDatum", {"job": name, "data_filters": ["/a"]})
        assert next(lines).datum_id == first.datum_id
    assert not jobs.is_terminal(jobs.inspect_job(repo, f"p@{name.id}"))
    logged = [each.message for each in repo.call("pps_v2.API", "GetLogs", {"job": name}) if each.datum_id]
    assert logged.count("begun anew, as was asked for") == 3
    assert not [each for each in logged if each.startswith("attempt")]
    jobs.stop_job(repo, f"p@{name.id}")


def logged_jobs(connection: Connection, pipeline: str) -> set[str]:
    return {
        each.job_id for each in connection.call("pps_v2.API", "GetLogs", {"pipeline": {"name": pipeline}})
    }


def test_a_deleted_job_leaves_its_output(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    info = create(repo, shell("copy", "cp /pfs/in/* /pfs/out/", IN))
    assert info.job.id in logged_jobs(repo, "copy")
    jobs.delete_job(repo, f"copy@{info.job.id}")
    assert info.job.id not in logged_jobs(repo, "copy")
    with pytest.raises(Exception, match="not found"):
        jobs.inspect_job(repo, f"copy@{info.job.id}")
    assert tree(repo, "copy@master") == {"/a": "1"}
    id = put_id(repo, "in@master", {"/b": "2"})
    assert ended(job(repo, "copy", id))[0] == "SUCCESS"
    assert tree(repo, f"copy@{id}") == {"/a": "1", "/b": "2"}


def test_a_deleted_job_is_stopped_first(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("slow", "echo begun; sleep 600", IN))
    name = newest(repo, "slow")
    next(user_lines(repo, name))
    jobs.delete_job(repo, f"slow@{name.id}")
    put(repo, "in@master", {"/a": "2"})
    pipelines.create_pipeline(repo, shell("slow", "true", IN), update=True)
    assert ended(last_job(repo, "slow")) == ("SUCCESS", 1, 0, 0, 1)


def test_a_pipeline_of_slow_datums_leaves_a_worker_to_others(repo: Connection) -> None:
    """One that has every worker gives one up between two datums, as soon as another waits."""
    put(repo, "in@master", {f"/{number}": "" for number in range(40)})
    slow = shell("slow", "sleep 0.3", IN, parallelism_spec={"constant": 2}, datum_set_spec={"number": 20})
    pipelines.create_pipeline(repo, slow)
    next(each for each in repo.call("pps_v2.API", "GetLogs", {"job": newest(repo, "slow"), "follow": True}))
    assert ended(create(repo, shell("quick", "true", pfs_input("in", "/"))))[0] == "SUCCESS"
    assert not jobs.is_terminal(next(jobs.list_job(repo, pipeline="slow")))
    jobs.stop_job(repo, f"slow@{newest(repo, 'slow').id}")


def test_many_jobs_wait_without_a_thread_each(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    before = threading.active_count()
    for number in range(40):
        pipelines.create_pipeline(repo, shell(f"p{number}", "sleep 600", IN))
    for number in range(40):
        assert newest(repo, f"p{number}")
    assert threading.active_count() < before + 36  # the steps of runs share 32


def test_stopping_the_server_waits_for_no_datum(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {f"/{number}": "" for number in range(9)})
        pipelines.create_pipeline(
            connection, shell("slow", "echo begun; sleep 600", IN, parallelism_spec={"constant": 2})
        )
        next(user_lines(connection, newest(connection, "slow")))
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        assert not jobs.is_terminal(next(jobs.list_job(connection, pipeline="slow")))


def test_a_pipeline_whose_job_was_interrupted_is_restarting_until_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        pipelines.create_pipeline(connection, shell("p", "echo begun; sleep 600", IN))
        next(user_lines(connection, newest(connection, "p")))
    reached, may_go_on = threading.Event(), threading.Event()
    prepare = ProcessRunner.prepare

    def slowly(*given: Any) -> Any:
        reached.set()
        assert may_go_on.wait(30)
        return prepare(*given)

    monkeypatch.setattr(ProcessRunner, "prepare", slowly)
    with testing.server(tmp_path / "data") as server, Connection(server.address) as connection:
        assert reached.wait(30)
        info = pipelines.inspect_pipeline(connection, "p")
        assert schema.enum_name("pps_v2.PipelineState", info.state) == "PIPELINE_RESTARTING"
        assert info.reason == "the server was stopped in the middle of a job, which goes on"
        may_go_on.set()
        until(
            connection,
            "p",
            lambda info: schema.enum_name("pps_v2.PipelineState", info.state) == "PIPELINE_RUNNING",
        )
        assert next(jobs.list_job(connection, pipeline="p")).restart == 1


def test_a_pipeline_of_the_same_name_is_another_pipeline(connection: Connection) -> None:
    """What served the one that was deleted serves not the one that has its name, though both are version 1."""
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    for word in ("old", "new"):
        create(connection, shell("p", f"echo {word} > /pfs/out/word", IN))
        assert tree(connection, "p@master") == {"/word": f"{word}\n"}
        pipelines.delete_pipeline(connection, "p")


BATCH = """
import os
from pachlet.step import main

ME = os.urandom(8).hex()

def run(inputs, out):
    for file in (inputs / "in").iterdir():
        (out / file.name).write_text(ME)

main(run, batching=True)
"""


def test_a_batching_process_is_kept_for_the_next_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that has run one job's datums runs the next job's, and not those of another version."""
    code = tmp_path / "code"
    transform = batching_step(code, BATCH, monkeypatch)
    spec = {"pipeline": {"name": "batch"}, "transform": transform, "input": IN}
    with (
        testing.server(tmp_path / "data", code=code) as server,
        Connection(server.address) as connection,
    ):
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1", "/b": "2"})
        assert ended(create(connection, spec)) == ("SUCCESS", 2, 0, 0, 2)
        id = put_id(connection, "in@master", {"/c": "3"})
        assert ended(job(connection, "batch", id)) == ("SUCCESS", 1, 2, 0, 3)
        texts = tree(connection, "batch@master")
        assert len(texts) == 3
        assert len(set(texts.values())) == 1
        create(connection, spec, update=True, reprocess=True)
        assert set(tree(connection, "batch@master").values()).isdisjoint(texts.values())


def test_an_idle_pipeline_that_autoscales_holds_no_process(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/a": "1"})
        before = set(descendants(server.process.pid))
        create(connection, shell("scaled", "true", pfs_input("in"), autoscaling=True))
        while left := set(descendants(server.process.pid)) - before:
            wait_for_end(left.pop())
        create(connection, shell("warm", "true", pfs_input("in")))
        assert set(descendants(server.process.pid)) - before  # what the next job is spared to start
