"""Pipelines that are stopped, started and run once more: what jobs that makes, and what the pipeline says of itself."""

from __future__ import annotations

import pytest

from pachlet.client import branches, commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import InvalidArgument, NotFound
from pachlet.wire import schema
from tests.acceptance.words import PPS, create, ended, job, last_job, pfs_input, put, put_id, shell, tree

COPY = "cp -r /pfs/in/* /pfs/out/"
IN = pfs_input("in")
STOPPED = "all jobs killed because pipeline was stopped for user unknown_username"


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    return connection


def state(connection: Connection, name: str = "copy") -> tuple[str, bool]:
    """Return the state of a pipeline in both places where it is shown, as it is while it does not change."""
    while True:
        before = pipelines.inspect_pipeline(connection, name)
        (listed,) = pipelines.list_pipeline(connection, name)
        info = pipelines.inspect_pipeline(connection, name)
        if (before.state, before.stopped) == (info.state, info.stopped):
            break
    assert (listed.state, listed.stopped) == (info.state, info.stopped)
    return schema.enum_name("pps_v2.PipelineState", info.state).removeprefix("PIPELINE_"), info.stopped


def job_ids(connection: Connection, name: str = "copy") -> list[str]:
    return [each.job.id for each in jobs.list_job(connection, name, history=-1)]


def provenance(connection: Connection, branch: str) -> list[str]:
    info = branches.inspect_branch(connection, branch)
    return [f"{each.repo.name}.{each.repo.type}" for each in info.direct_provenance]


def test_stopped_pipeline_lets_commits_pass_and_catches_up_in_one_job(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN))
    assert state(repo) == ("RUNNING", False)
    pipelines.stop_pipeline(repo, "copy")
    assert state(repo) == ("PAUSED", True)
    for branch in ("copy@master", "copy.meta@master"):
        assert provenance(repo, branch) == []
    before = job_ids(repo)
    put(repo, "in@master", {"/b": "2"})
    put(repo, "in@master", {"/c": "3"})
    assert job_ids(repo) == before
    pipelines.start_pipeline(repo, "copy")
    assert not state(repo)[1]
    for branch in ("copy@master", "copy.meta@master"):
        assert provenance(repo, branch) == ["in.user", "copy.spec"]
    assert len(job_ids(repo)) == len(before) + 1
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 2, 1, 0, 3)
    assert tree(repo, "copy@master") == {"/a": "1", "/b": "2", "/c": "3"}
    assert state(repo) == ("RUNNING", False)


def test_stop_kills_what_runs(repo: Connection) -> None:
    id = put_id(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("copy", "echo started; sleep 600", IN))
    created = job_ids(repo)[0]
    request = {"job": {"pipeline": {"name": "copy"}, "id": created}, "follow": True}
    assert any(line.message == "started" for line in repo.call(PPS, "GetLogs", request))
    waiting = put_id(repo, "in@master", {"/b": "1"})
    pipelines.stop_pipeline(repo, "copy")
    for each in (created, waiting):
        info = job(repo, "copy", each)
        assert (ended(info)[0], info.reason) == ("KILLED", STOPPED)
        assert commits.wait_commit(repo, f"copy@{each}").error == STOPPED
        *_, last = repo.call(PPS, "GetLogs", {"job": info.job, "master": True})
        assert last.message == f"job killed: {STOPPED}"
    assert id not in job_ids(repo)
    assert state(repo) == ("PAUSED", True)


def test_stop_and_start_twice_is_once(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    for _ in range(2):
        pipelines.stop_pipeline(repo, "copy")
    for _ in range(2):
        pipelines.start_pipeline(repo, "copy")
    assert len(job_ids(repo)) == 2
    assert ended(last_job(repo, "copy"))[0] == "SUCCESS"


def test_update_leaves_a_stopped_pipeline_stopped(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN))
    made = pipelines.inspect_pipeline(repo, "copy")
    pipelines.stop_pipeline(repo, "copy")
    pipelines.create_pipeline(repo, shell("copy", f"{COPY} # new", IN, description="new"), update=True)
    info = pipelines.inspect_pipeline(repo, "copy")
    assert (info.version, info.stopped, info.details.description) == (2, True, "new")
    assert info.details.created_at == made.details.created_at
    assert info.details.updated_at.ToNanoseconds() > made.details.updated_at.ToNanoseconds()
    assert info.details.salt == made.details.salt
    assert len(job_ids(repo)) == 1
    pipelines.rerun_pipeline(repo, "copy")
    assert (state(repo), len(job_ids(repo))) == (("PAUSED", True), 1)
    pipelines.start_pipeline(repo, "copy")
    info = last_job(repo, "copy")
    assert (ended(info), info.pipeline_version) == (("SUCCESS", 0, 1, 0, 1), 3)


def test_update_of_a_stopped_pipeline_to_another_output_branch(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN))
    pipelines.stop_pipeline(repo, "copy")
    pipelines.create_pipeline(repo, shell("copy", COPY, IN, output_branch="other"), update=True)
    assert len(job_ids(repo)) == 1
    pipelines.start_pipeline(repo, "copy")
    assert ended(last_job(repo, "copy"))[0] == "SUCCESS"
    assert tree(repo, "copy@other") == {"/a": "1"}
    assert provenance(repo, "copy@master") == []


def test_rerun_runs_what_failed_and_with_reprocess_everything(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1", "/b": "2"})
    fails_once = "test -e /pfs/in/b && exit 1; cp /pfs/in/* /pfs/out/"
    assert ended(create(repo, shell("copy", fails_once, IN)))[0] == "FAILURE"
    salt = pipelines.inspect_pipeline(repo, "copy").details.salt
    pipelines.rerun_pipeline(repo, "copy")
    assert ended(last_job(repo, "copy"))[0] == "FAILURE"
    pipelines.create_pipeline(repo, shell("copy", COPY, IN), update=True)
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 2, 0, 0, 2)
    pipelines.rerun_pipeline(repo, "copy")
    info = pipelines.inspect_pipeline(repo, "copy")
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 0, 2, 0, 2)
    assert (info.version, info.details.salt) == (4, salt)
    pipelines.rerun_pipeline(repo, "copy", reprocess=True)
    again = pipelines.inspect_pipeline(repo, "copy")
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 2, 0, 0, 2)
    assert again.details.salt != salt
    assert (again.user_spec_json, again.effective_spec_json) == (
        info.user_spec_json,
        info.effective_spec_json,
    )


def test_pipelines_that_are_not_there(repo: Connection) -> None:
    missing = {"pipeline": {"name": "none"}}
    repo.call(PPS, "StopPipeline", missing)
    for method, request in (
        ("StopPipeline", {**missing, "must_exist": True}),
        ("StartPipeline", missing),
        ("RerunPipeline", missing),
    ):
        with pytest.raises(NotFound, match="couldn't find up to date spec for pipeline"):
            repo.call(PPS, method, request)
    for method in ("StopPipeline", "StartPipeline"):
        with pytest.raises(InvalidArgument, match="Pipeline cannot be nil"):
            repo.call(PPS, method, {})


def test_states_of_a_pipeline(repo: Connection) -> None:
    open_commit = commits.start_commit(repo, "in@master")
    pipelines.create_pipeline(repo, shell("copy", COPY, IN))
    assert state(repo) == ("STARTING", False)  # its first job waits for that commit
    commits.finish_commit(repo, f"in@{open_commit.id}")
    last_job(repo, "copy")
    assert state(repo) == ("RUNNING", False)
    create(repo, shell("copy", COPY, IN, autoscaling=True), update=True)
    assert state(repo) == ("STANDBY", False)
    info = pipelines.inspect_pipeline(repo, "copy").details
    assert (info.workers_requested, info.workers_available) == (1, 0)
    pipelines.stop_pipeline(repo, "copy")
    assert state(repo) == ("PAUSED", True)


def test_p4568_pipeline_without_its_image_is_crashing_and_recovers_alone(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN, transform={"image": "pachlet/none"}))
    assert state(repo)[0] == "CRASHING"
    assert "pachlet/none" in pipelines.inspect_pipeline(repo, "copy").reason
    assert ended(create(repo, shell("copy", COPY, IN), update=True))[0] == "SUCCESS"
    assert state(repo) == ("RUNNING", False)
    assert "pachlet/none" not in pipelines.inspect_pipeline(repo, "copy").reason
