"""Pipelines come and go: what is refused, what an update and a deletion do to jobs that run."""

from __future__ import annotations

import itertools

import pytest

from pachlet.client import branches, commits, jobs, pipelines, projects, repos
from pachlet.client.connection import Connection
from pachlet.client.jobs import state_of
from pachlet.errors import AlreadyExists, NotFound, PachletError, Refused
from tests.acceptance.words import (
    PFS,
    PPS,
    create,
    create_branch,
    ended,
    head,
    job,
    last_job,
    pfs_input,
    put,
    put_id,
    shell,
    tree,
)

COPY = "cp -r /pfs/in/* /pfs/out/"
FOREVER = "echo started; sleep 600"
IN = pfs_input("in")


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    return connection


def started(connection: Connection, pipeline: str, id: str) -> None:
    """Return when a job's code has printed `started`."""
    request = {"job": {"pipeline": {"name": pipeline}, "id": id}, "follow": True}
    for line in connection.call(PPS, "GetLogs", request):
        if line.message == "started":
            return
    raise AssertionError("the job ended")


def running(connection: Connection, **more: object) -> str:
    """Create a pipeline whose job runs for ever; return the job's id once its code runs."""
    id = put_id(connection, "in@master", {"/a": "1", "/b": "2"})
    pipelines.create_pipeline(connection, shell("slow", FOREVER, IN, **more))
    id = next(jobs.list_job(connection, "slow")).job.id
    started(connection, "slow", id)
    return id


def test_names_and_inputs_are_checked(repo: Connection) -> None:
    for spec, text in (
        (shell("a b", COPY, IN), "name (a b) invalid"),
        (shell("_a", COPY, IN), "pipeline names must start with an alphanumeric character"),
        (shell("in", COPY, IN), "because a repo with the same name already exists"),
        (
            shell("p", COPY, IN, pipeline={"name": "p", "project": {"name": "nowhere"}}),
            'project "nowhere" not found',
        ),
        (
            shell("p", COPY, {"pfs": {"project": "nowhere", "repo": "in", "glob": "/*"}}),
            'project "nowhere" not found',
        ),
        (shell("p", COPY, pfs_input("none")), "repo default/none not found"),
        (shell("p", COPY, {"pfs": {"repo": "in"}}), "input must specify a glob"),
        (shell("p", COPY, pfs_input("in", name="out")), "input cannot be named out"),
        (shell("p", COPY, {"cross": [IN, IN]}), 'name "in" was used more than once'),
        (shell("p", COPY, pfs_input("in", "/[a")), ""),
    ):
        with pytest.raises(PachletError) as refused:
            pipelines.create_pipeline(repo, spec)
        assert text in refused.value.message
        assert "bug of pachlet" not in refused.value.message
    assert list(pipelines.list_pipeline(repo)) == []
    assert [each.repo.name for each in repos.list_repo(repo, type="")] == ["in"]


@pytest.mark.parametrize(
    "name, field",
    [
        ("egress of a service", {"egress": {"URL": "s3://bucket"}, "service": {"internal_port": 80}}),
        ("s3_out", {"s3_out": True}),
        ("S3 gateway", {"input": pfs_input("in", "/", s3=True)}),
    ],
)
def test_what_is_not_there_is_named(repo: Connection, name: str, field: dict[str, object]) -> None:
    spec = shell("p", COPY, IN)
    transform = {**spec["transform"], **field.pop("transform", {})}
    spec = {
        key: value for key, value in {**spec, **field, "transform": transform}.items() if value is not None
    }
    with pytest.raises(PachletError, match=name) as refused:
        pipelines.create_pipeline(repo, spec)
    assert refused.value.code == "UNIMPLEMENTED"
    assert list(pipelines.list_pipeline(repo)) == []


def test_pipeline_is_created_once(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    with pytest.raises(AlreadyExists, match='pipeline "copy" already exists'):
        pipelines.create_pipeline(repo, shell("copy", COPY, IN))
    with pytest.raises(NotFound, match=r"couldn't find up to date spec for pipeline.*not found"):
        pipelines.inspect_pipeline(repo, "none")


def test_dry_run_changes_nothing(repo: Connection) -> None:
    text = pipelines.create_pipeline(repo, shell("copy", COPY, IN), dry_run=True)
    assert '"datum_tries"' in str(text)
    assert list(pipelines.list_pipeline(repo)) == []
    assert list(jobs.list_job(repo)) == []


def test_versions_are_kept(repo: Connection) -> None:
    for number in range(3):
        create(repo, shell("copy", f"{COPY} # {number}", IN), update=True)
    listed = list(pipelines.list_pipeline(repo, history=-1))
    assert [each.version for each in listed] == [3, 2, 1]
    assert [each.version for each in pipelines.list_pipeline(repo, history=1)] == [3, 2]
    assert len(list(jobs.list_job(repo, "copy", history=-1))) == 3
    assert len(list(jobs.list_job(repo, "copy"))) == 1
    assert len(list(commits.list_commit(repo, "copy.spec"))) == 3


def test_update_kills_the_running_job_and_runs_the_new_code(repo: Connection) -> None:
    old = running(repo)
    info = create(repo, shell("slow", COPY, IN), update=True)
    assert ended(info) == ("SUCCESS", 2, 0, 0, 2)
    killed = job(repo, "slow", old)
    assert ended(killed)[0] == "KILLED"
    assert killed.reason == "all jobs killed because pipeline was updated for user unknown_username"
    assert commits.wait_commit(repo, f"slow@{old}").error == killed.reason
    assert tree(repo, "slow@master") == {"/a": "1", "/b": "2"}


def test_jobs_of_a_pipeline_take_turns(repo: Connection) -> None:
    script = "test -e /pfs/in/stop && exit 0; cp /pfs/in/* /pfs/out/; sleep 0.1"
    create(repo, shell("turns", script, pfs_input("in", "/")))
    made = [put_id(repo, "in@master", {f"/{number}": "x"}) for number in range(3)]
    infos = [job(repo, "turns", id) for id in made]
    assert [ended(info)[0] for info in infos] == ["SUCCESS"] * 3
    times = [(info.started.ToNanoseconds(), info.finished.ToNanoseconds()) for info in infos]
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))
    assert sorted(tree(repo, f"turns@{made[1]}")) == ["/0", "/1"]


def test_deletion_stops_the_running_job_and_takes_everything_along(repo: Connection) -> None:
    running(repo)
    pipelines.delete_pipeline(repo, "slow")
    assert list(pipelines.list_pipeline(repo)) == []
    assert [each.repo.name for each in repos.list_repo(repo, type="")] == ["in"]
    assert list(jobs.list_job(repo)) == []
    # The worker is free again, and the name as well.
    assert ended(create(repo, shell("slow", COPY, IN))) == ("SUCCESS", 2, 0, 0, 2)
    lines = [each.message for each in repo.call(PPS, "GetLogs", {"pipeline": {"name": "slow"}})]
    assert "started" not in lines


def test_deletion_may_leave_the_output(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN))
    create(repo, shell("next", "cp /pfs/copy/* /pfs/out/", pfs_input("copy")))
    before = len(list(jobs.list_job(repo, "next")))
    repo.call(PPS, "DeletePipeline", {"pipeline": {"name": "copy"}, "keep_repo": True})
    assert tree(repo, "copy@master") == {"/a": "1"}
    assert len(list(jobs.list_job(repo, "next"))) == before
    id = put_id(repo, "copy@master", {"/b": "2"})  # a plain repo now
    assert ended(job(repo, "next", id)) == ("SUCCESS", 1, 1, 0, 2)


def test_pipeline_that_others_read_goes_by_force_only(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    create(repo, shell("next", "cp /pfs/copy/* /pfs/out/", pfs_input("copy")))
    with pytest.raises(Refused, match="default/next@master as subvenance"):
        pipelines.delete_pipeline(repo, "copy")
    with pytest.raises(PachletError, match="cannot delete a repo associated with a pipeline"):
        repos.delete_repo(repo, "copy")
    repo.call(PPS, "DeletePipeline", {"pipeline": {"name": "copy"}, "force": True})
    assert [each.pipeline.name for each in pipelines.list_pipeline(repo)] == ["next"]
    repo.call(PPS, "DeletePipeline", {"pipeline": {"name": "none"}})
    with pytest.raises(NotFound):
        repo.call(PPS, "DeletePipeline", {"pipeline": {"name": "none"}, "must_exist": True})


def test_all_pipelines_go_downstream_first_whenever_they_were_made(repo: Connection) -> None:
    repos.create_repo(repo, "late")
    create(repo, shell("reader", COPY, IN))
    repos.delete_repo(repo, "late")
    create(repo, shell("late", COPY, IN))
    create(repo, shell("reader", "cp /pfs/late/* /pfs/out/", pfs_input("late")), update=True)
    gone = repo.call(PPS, "DeletePipelines", {"all": True})
    assert [each.name for each in gone.pipelines] == ["reader", "late"]


def test_deletion_of_one_project_leaves_the_others(repo: Connection) -> None:
    projects.create_project(repo, "p")
    create(repo, shell("here", COPY, IN))
    spec = shell("there", COPY, pfs_input("in", project="default"))
    repo.call(PPS, "CreatePipeline", {
        "pipeline": {"name": "there", "project": {"name": "p"}},
        "transform": spec["transform"],
        "input": spec["input"],
    })  # fmt: skip
    repo.call(PPS, "DeletePipelines", {"projects": [{"name": "p"}]})
    assert [each.pipeline.name for each in pipelines.list_pipeline(repo, all_projects=True)] == ["here"]


def test_input_that_is_taken_away_ends_the_job_with_a_sentence(repo: Connection) -> None:
    repos.create_repo(repo, "gone")
    put(repo, "gone@master", {"/x": "1"})
    both = {"cross": [IN, pfs_input("gone")]}
    create(repo, shell("copy", COPY, both))
    repos.delete_repo(repo, "gone", force=True)
    put(repo, "in@master", {"/a": "1"})
    info = last_job(repo, "copy")
    assert (ended(info)[0], "bug" in info.reason) == ("FAILURE", False)
    assert "its input default/gone" in info.reason


def test_running_job_can_be_looked_at(repo: Connection) -> None:
    id = running(repo)
    info = jobs.inspect_job(repo, f"slow@{id}")
    assert (state_of(info), info.data_total, info.data_processed) == ("JOB_RUNNING", 2, 0)
    assert not info.HasField("finished")
    (of_set,) = jobs.inspect_jobset(repo, id)
    assert of_set.job.id == id
    assert [each.job_set.id for each in jobs.list_jobset(repo)] == [id]
    followed = repo.call(PPS, "SubscribeJob", {"pipeline": {"name": "slow"}, "details": True})
    assert next(followed).job.id == id
    newer = put_id(repo, "in@master", {"/c": "3"})
    assert next(followed).job.id == newer
    followed.close()
    with pytest.raises(NotFound, match=f"job default/slow@{'0' * 32} not found"):
        jobs.inspect_job(repo, f"slow@{'0' * 32}")


def test_jobs_are_found_by_what_they_read(repo: Connection) -> None:
    first = put_id(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN))
    second = put_id(repo, "in@master", {"/b": "1"})
    last_job(repo, "copy")
    listed = [each.job.id for each in jobs.list_job(repo, "copy", inputs=[f"in@{second}"])]
    assert listed == [second]
    created = [each.job.id for each in jobs.list_job(repo, "copy", inputs=[f"in@{first}"])]
    assert len(created) == 1
    assert created != listed


def test_output_commit_is_the_jobs_alone(repo: Connection) -> None:
    id = running(repo)
    with pytest.raises(
        Refused, match="cannot finish a pipeline output or meta commit, use 'stop job' instead"
    ):
        commits.finish_commit(repo, f"slow@{id}")
    with pytest.raises(Refused, match="cannot start a commit on an output branch"):
        commits.start_commit(repo, "slow@master")


def test_branch_of_a_pipelines_repo_that_is_not_its_output_makes_no_job(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    repos.create_repo(repo, "else")
    create_branch(repo, "copy@mine", "else@master")
    put(repo, "else@master", {"/x": "1"})
    assert not head(repo, "copy@mine").HasField("finishing")
    assert len(list(jobs.list_job(repo))) == 1


def test_lost_meta_branch_fails_the_commits_below_it_and_comes_back(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    branches.delete_branch(repo, "copy.meta@master", force=True)
    put(repo, "in@master", {"/a": "1"})
    assert "branch default/copy.meta@master is gone" in commits.wait_commit(repo, "copy@master").error
    assert ended(create(repo, shell("copy", COPY, IN), update=True)) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(repo, "copy@master") == {"/a": "1"}


def test_delete_all_ends_everything(repo: Connection) -> None:
    running(repo)
    repo.call(PPS, "DeleteAll", {})
    repo.call(PFS, "DeleteAll", {})
    assert list(repos.list_repo(repo, type="", all_projects=True)) == []
