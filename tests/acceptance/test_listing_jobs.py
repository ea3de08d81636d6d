"""Listings of pipelines and jobs: which, in which order, page by page, and by a jq filter."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import branches, commits, jobs, pipelines, projects, repos
from pachlet.client.connection import Connection
from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused
from tests.acceptance.words import PPS, create, ended, job, last_job, pfs_input, put, put_id, shell, tree

COPY = "cp -r /pfs/in/* /pfs/out/"
IN = pfs_input("in")


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    return connection


def listed(connection: Connection, **request: Any) -> list[tuple[str, str]]:
    return [(each.job.pipeline.name, each.job.id) for each in connection.call(PPS, "ListJob", request)]


def sets(connection: Connection, **request: Any) -> list[str]:
    return [each.job_set.id for each in connection.call(PPS, "ListJobSet", request)]


def names(connection: Connection, **request: Any) -> list[str]:
    return [each.pipeline.name for each in connection.call(PPS, "ListPipeline", request)]


def test_jobs_are_paged_by_time_in_both_directions(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    create(repo, shell("next", "cp /pfs/copy/* /pfs/out/", pfs_input("copy")))
    for number in range(3):
        put(repo, "in@master", {f"/{number}": "x"})
    last_job(repo, "next")
    everything = list(repo.call(PPS, "ListJob", {}))
    assert len(everything) == 8
    keys = [(each.job.pipeline.name, each.job.id) for each in everything]
    for reverse in (False, True):
        wanted = keys[::-1] if reverse else keys
        assert listed(repo, reverse=reverse) == wanted
        assert listed(repo, reverse=reverse, number=3) == wanted[:3]
        found: list[tuple[str, str]] = []
        request: dict[str, Any] = {"reverse": reverse, "number": 3}
        while page := list(repo.call(PPS, "ListJob", request)):
            found += [(each.job.pipeline.name, each.job.id) for each in page]
            request["paginationMarker"] = page[-1].created
        assert found == wanted
    of_one = [each for each in keys if each[0] == "next"]
    named = {"pipeline": {"name": "next"}}
    assert listed(repo, **named) == of_one
    assert listed(repo, **named, reverse=True, number=2) == of_one[::-1][:2]
    all_sets = list(dict.fromkeys(id for _, id in keys))
    assert sets(repo) == all_sets
    assert sets(repo, number=2) == all_sets[:2]
    assert sets(repo, reverse=True, number=2) == all_sets[::-1][:2]
    marker = next(each.created for each in everything if each.job.id == all_sets[1])
    assert sets(repo, paginationMarker=marker) == all_sets[2:]
    for method in ("ListJob", "ListJobSet"):
        with pytest.raises(InvalidArgument, match="negative"):
            list(repo.call(PPS, method, {"number": -1}))


def test_history_is_counted_in_versions_of_each_pipeline(repo: Connection) -> None:
    for number in range(3):
        create(repo, shell("copy", f"{COPY} # {number}", IN), update=True)
    create(repo, shell("other", COPY, IN))
    assert [name for name, _ in listed(repo)] == ["other", "copy"]
    assert [name for name, _ in listed(repo, history=1)] == ["other", "copy", "copy"]
    assert len(listed(repo, history=-1)) == 4


def test_jobs_of_projects_and_of_input_commits(repo: Connection) -> None:
    projects.create_project(repo, "p")
    repos.create_repo(repo, "more")
    first = put_id(repo, "in@master", {"/a": "1"})
    more = put_id(repo, "more@master", {"/x": "1"})
    create(repo, shell("both", COPY, {"cross": [IN, pfs_input("more")]}))
    create(repo, shell("copy", COPY, IN))
    there = shell("there", COPY, pfs_input("in", project="default"))
    there["pipeline"]["project"] = {"name": "p"}
    pipelines.create_pipeline(repo, there)
    commit = {"repo": {"name": "in", "type": "user"}, "id": first}
    other = {"repo": {"name": "more", "type": "user"}, "id": more}
    assert [name for name, _ in listed(repo, projects=[{"name": "p"}])] == ["there"]
    assert [name for name, _ in listed(repo, input_commit=[commit])] == ["there", "copy", "both"]
    assert [name for name, _ in listed(repo, input_commit=[commit, other])] == ["both"]
    assert listed(repo, input_commit=[{"repo": {"name": "in", "type": "user"}}]) == listed(repo)
    branch = {"repo": {"name": "more", "type": "user"}, "name": "master"}
    assert [name for name, _ in listed(repo, input_commit=[{"branch": branch}])] == ["both"]
    assert len(sets(repo)) == 3
    assert len(sets(repo, projects=[{"name": "p"}])) == 1


def test_filters_are_jqs_on_what_raw_prints(repo: Connection) -> None:
    pytest.importorskip("jq")
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("good", COPY, IN))
    create(repo, shell("bad", "exit 1", IN, description="it's bad"))
    create(repo, shell("idle", COPY, IN, autoscaling=True))
    for text, wanted in (
        ('.state == "JOB_FAILURE"', ["bad"]),
        ('select(.data_processed == "1")', ["idle", "good"]),
        (".data_failed", ["bad"]),
        ("empty", []),
        ("false, true", []),
        ('.job.pipeline.project.name == "default"', ["idle", "bad", "good"]),
        ("$ENV.PATH, env.PATH", []),
    ):
        assert [name for name, _ in listed(repo, jqFilter=text)] == wanted, text
    assert len(listed(repo, jqFilter='.state == "JOB_SUCCESS"', number=1)) == 1
    assert names(repo, jqFilter='.details.description // "" | test("bad")') == ["bad"]
    assert names(repo, jqFilter='.state == "PIPELINE_STANDBY"') == ["idle"]
    assert names(repo, jqFilter="true", page={"page_size": 2, "page_index": 1}) == ["good"]
    (found,) = repo.call(PPS, "ListJobSet", {"jqFilter": '.job.pipeline.name == "bad"'})
    assert [each.job.pipeline.name for each in found.jobs] == ["bad"]


@pytest.mark.parametrize(
    "text, said",
    [
        (".[", "error creating message filter function: error parsing jq filter: jq: error: syntax error"),
        ('import "x" as x; .', "error parsing jq filter"),
        ('import "passwd" as $x {search: "/etc"}; $x', "error parsing jq filter"),
        (".job[0]", "error applying jq filter on proto message: Cannot index object with number"),
        ('[limit(100000000; repeat("x" * 1000))]', "error applying jq filter"),
    ],
)
def test_filters_that_fail_say_so_and_harm_nobody(repo: Connection, text: str, said: str) -> None:
    pytest.importorskip("jq")
    create(repo, shell("copy", COPY, IN))
    with pytest.raises(Refused) as refused:
        listed(repo, jqFilter=text)
    assert said in refused.value.message
    assert [name for name, _ in listed(repo)] == ["copy"]


def test_pipelines_come_in_pages_and_as_a_commit_set_had_them(repo: Connection) -> None:
    for name in ("a", "b", "c", "d", "e"):
        create(repo, shell(name, COPY, IN))
    assert names(repo) == ["e", "d", "c", "b", "a"]
    assert names(repo, page={"page_size": 2}) == ["e", "d"]
    assert names(repo, page={"page_size": 2, "page_index": 2}) == ["a"]
    assert names(repo, page={"page_size": 2, "page_index": 3}) == []
    named = {"projects": [{"name": "default"}], "page": {"page_size": 3, "page_index": 1}}
    assert names(repo, **named) == ["b", "a"]
    assert names(repo, **named | {"projects": [{"name": "other"}]}) == []
    with pytest.raises(InvalidArgument):
        names(repo, page={"page_size": -2})
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("a", "exit 1", IN), update=True)
    old = put_id(repo, "in@master", {"/b": "1"})
    last_job(repo, "a")
    create(repo, shell("a", COPY, IN), update=True)
    request = {"commit_set": {"id": old}, "pipeline": {"name": "a"}}
    (found,) = repo.call(PPS, "ListPipeline", request)
    assert (found.version, found.last_job_state) == (2, 4)
    assert names(repo, commit_set={"id": old}) == ["e", "d", "c", "b", "a"]
    assert names(repo, commit_set={"id": "0" * 32}) == []
    with pytest.raises(Refused, match="cannot inspect future pipelines"):
        pipelines.inspect_pipeline(repo, "a.2")
    with pytest.raises(NotFound, match='pipeline "a" has only 3 versions, not enough to find ancestor 3'):
        pipelines.inspect_pipeline(repo, "a^3")
    assert pipelines.inspect_pipeline(repo, "a~").version == 2


def test_a_pipeline_with_more_workers_than_can_be_counted_is_listed_and_runs(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    most = shell("most", COPY, IN, parallelism_spec={"constant": 2**64 - 1}, datum_tries=-1)
    info = create(repo, most)
    assert (ended(info)[:2], tree(repo, "most@master")) == (("SUCCESS", 1), {"/a": "1"})
    assert names(repo, details=True) == ["most"]
    found = pipelines.inspect_pipeline(repo, "most").details
    assert (found.workers_requested, found.parallelism_spec.constant) == (2**63 - 1, 2**64 - 1)


def test_deleted_job_leaves_its_output_and_no_datums_to_skip(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1", "/b": "2"})
    info = create(repo, shell("copy", COPY, IN))
    repo.call(PPS, "DeleteJob", {"job": info.job})
    with pytest.raises(NotFound):
        jobs.inspect_job(repo, f"copy@{info.job.id}")
    assert listed(repo) == []
    assert tree(repo, f"copy@{info.job.id}") == {"/a": "1", "/b": "2"}
    commits.start_commit(repo, "in@master")
    repo.send("pfs_v2.API", "ModifyFile", [
        {"set_commit": {"branch": {"repo": {"name": "in", "type": "user"}, "name": "master"}}},
        {"delete_file": {"path": "/a"}},
    ])  # fmt: skip
    commits.finish_commit(repo, "in@master")
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(repo, "copy@master") == {"/b": "2"}


def test_deleting_a_job_that_runs_ends_it_for_whoever_waits(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("slow", "echo started; sleep 600", IN))
    named = next(jobs.list_job(repo, "slow")).job
    lines = repo.call(PPS, "GetLogs", {"job": named, "follow": True})
    assert any(line.message == "started" for line in lines)
    repo.call(PPS, "DeleteJob", {"job": named})
    assert commits.wait_commit(repo, f"slow@{named.id}").error == "job deleted"
    with pytest.raises(PachletError, match=f"job default/slow@{named.id} not found"):
        job(repo, "slow", named.id)
    with pytest.raises(InvalidArgument, match="must specify a job"):
        repo.call(PPS, "DeleteJob", {})


def test_stop_job_says_why_and_may_come_late(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    pipelines.create_pipeline(repo, shell("slow", "sleep 600", IN))
    named = next(jobs.list_job(repo, "slow")).job
    repo.call(PPS, "StopJob", {"job": named})
    info = job(repo, "slow", named.id)
    assert (ended(info)[0], info.reason) == ("KILLED", "job stopped")
    repo.call(PPS, "StopJob", {"job": named, "reason": "too late"})
    assert job(repo, "slow", named.id).reason == "job stopped"


def test_sets_are_empty_or_waited_for_as_a_whole(repo: Connection) -> None:
    assert list(repo.call(PPS, "InspectJobSet", {"job_set": {"id": "0" * 32}})) == []
    create(repo, shell("copy", COPY, IN))
    id = commits.start_commit(repo, "in@master").id
    waiting = repo.call(PPS, "InspectJobSet", {"job_set": {"id": id}, "wait": True})
    branches.create_branch(repo, "in@side")
    commits.finish_commit(repo, f"in@{id}")
    (info,) = waiting
    assert ended(info)[0] == "SUCCESS"
    assert commits.inspect_commit(repo, f"in@{id}").HasField("finished")
