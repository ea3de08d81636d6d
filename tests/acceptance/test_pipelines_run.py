"""Pipelines at work: what a job makes of its datums, what it skips, how it fails and how the next one recovers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.wire import schema
from tests.acceptance.words import (
    create,
    delete,
    ended,
    head,
    job,
    last_job,
    modify,
    paths,
    pfs_input,
    put,
    put_id,
    shell,
    tree,
)

COPY = "cp -r /pfs/in/* /pfs/out/"
IN = pfs_input("in")


@pytest.fixture
def repo(connection: Connection) -> Connection:
    repos.create_repo(connection, "in")
    return connection


def test_created_pipeline_has_a_job_even_without_data(repo: Connection) -> None:
    assert ended(create(repo, shell("copy", COPY, IN))) == ("SUCCESS", 0, 0, 0, 0)
    info = pipelines.inspect_pipeline(repo, "copy")
    assert (info.version, info.details.transform.image) == (1, "alpine")
    assert "alpine" in info.reason  # runs on the machine's own programs, which is told
    assert repos.inspect_repo(repo, "copy").description == "Output repo for pipeline default/copy."
    assert {each.repo.type for each in repos.list_repo(repo, type="") if each.repo.name == "copy"} == {
        "user",
        "spec",
        "meta",
    }


def test_pipeline_without_input_has_no_job(repo: Connection) -> None:
    pipelines.create_pipeline(repo, shell("idle", "echo x >/pfs/out/x"))
    assert list(jobs.list_job(repo, pipeline="idle")) == []
    assert tree(repo, "idle@master") == {}
    assert pipelines.inspect_pipeline(repo, "idle").reason.startswith("nothing ever runs: it has no input")


def test_job_follows_data(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    id = put_id(repo, "in@master", {"/a": "1", "/b": "2"})
    info = job(repo, "copy", id)
    assert ended(info) == ("SUCCESS", 2, 0, 0, 2)
    assert info.output_commit.id == info.job.id == id
    assert info.details.input.pfs.commit == id
    assert info.started.seconds <= info.finished.seconds
    assert (info.stats.download_bytes, info.stats.upload_bytes) == (2, 2)
    assert tree(repo, f"copy@{id}") == {"/a": "1", "/b": "2"}


def test_only_what_changed_runs_again(repo: Connection) -> None:
    create(repo, shell("copy", COPY, IN))
    put(repo, "in@master", {"/a": "1", "/b": "2", "/c": "3"})
    last_job(repo, "copy")
    modify(repo, "in@master", delete("/a"), delete("/b"))
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 0, 1, 0, 1)
    put(repo, "in@master", {"/a": "1", "/c": "33"})
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 2, 0, 0, 2)
    assert tree(repo, "copy@master") == {"/a": "1", "/c": "33"}


def test_every_job_may_be_asked_for(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    create(repo, shell("copy", COPY, IN, reprocess_spec="every_job"))
    put(repo, "in@master", {"/b": "1"})
    assert ended(last_job(repo, "copy")) == ("SUCCESS", 2, 0, 0, 2)
    assert tree(repo, "copy@master") == {"/a": "1", "/b": "1"}


def test_update_keeps_results_and_reprocess_does_not(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    old, new = (shell("copy", f"echo {word} >/pfs/out/word", IN) for word in ("old", "new"))
    create(repo, old)
    assert ended(create(repo, new, update=True)) == ("SUCCESS", 0, 1, 0, 1)
    assert tree(repo, "copy@master") == {"/word": "old\n"}
    assert ended(create(repo, new, update=True, reprocess=True)) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(repo, "copy@master") == {"/word": "new\n"}
    assert pipelines.inspect_pipeline(repo, "copy").version == 3
    assert pipelines.inspect_pipeline(repo, "copy^2").details.transform.stdin[0].startswith("echo old")
    with pytest.raises(Exception, match="has only 3 versions, not enough to find ancestor 3"):
        pipelines.inspect_pipeline(repo, "copy^3")


def test_reprocess_overrides_a_salt_of_the_users_own(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    spec = shell("copy", COPY, IN, salt="mine")
    create(repo, spec)
    assert pipelines.inspect_pipeline(repo, "copy").details.salt == "mine"
    assert ended(create(repo, spec, update=True)) == ("SUCCESS", 0, 1, 0, 1)
    assert ended(create(repo, spec, update=True, reprocess=True)) == ("SUCCESS", 1, 0, 0, 1)


def test_update_may_change_the_input_and_the_output_branch(repo: Connection) -> None:
    repos.create_repo(repo, "other")
    put(repo, "in@master", {"/a": "1"})
    put(repo, "other@master", {"/b": "2"})
    create(repo, shell("copy", COPY, IN))
    other = pfs_input("other", name="in")
    assert ended(create(repo, shell("copy", COPY, other), update=True)) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(repo, "copy@master") == {"/b": "2"}
    moved = shell("copy", COPY, other, output_branch="results")
    assert ended(create(repo, moved, update=True)) == ("SUCCESS", 1, 0, 0, 1)
    before = head(repo, "copy@master").commit.id
    id = put_id(repo, "other@master", {"/c": "3"})
    assert ended(job(repo, "copy", id)) == ("SUCCESS", 1, 1, 0, 2)
    assert tree(repo, "copy@results") == {"/b": "2", "/c": "3"}
    assert head(repo, "copy@master").commit.id == before


def test_failed_datum_fails_its_job_and_what_is_downstream_and_both_recover(repo: Connection) -> None:
    script = "grep -q bad /pfs/in/* && { echo it is bad; exit 3; }; cp /pfs/in/* /pfs/out/"
    put(repo, "in@master", {"/a": "good", "/b": "good"})
    create(repo, shell("check", script, IN))
    create(repo, shell("next", "cp /pfs/check/* /pfs/out/", pfs_input("check")))
    create(repo, shell("last", "cp /pfs/next/* /pfs/out/", pfs_input("next")))
    id = put_id(repo, "in@master", {"/b": "bad", "/c": "new"})
    failed = job(repo, "check", id)
    assert ended(failed) == ("FAILURE", 1, 1, 1, 3)
    (datum,) = [each for each in repo.call("pps_v2.API", "ListDatum", {"job": failed.job}) if each.state == 1]
    assert failed.reason == f"datum {datum.datum.id} failed: exit status 3"
    assert commits.wait_commit(repo, f"check@{id}").error == failed.reason
    why = (
        "unrunnable because the following upstream pipelines failed: default/check{} (" + failed.reason + ")"
    )
    for name, more in (
        ("next", ""),
        ("last", ", default/next"),
    ):  # the first cause, then what it lacks itself
        info = job(repo, name, id)
        assert (ended(info)[0], info.reason) == ("UNRUNNABLE", why.format("") + more)
    new = create(repo, shell("new", COPY, pfs_input("check", name="in")))
    assert (ended(new)[0], new.reason) == ("UNRUNNABLE", why.format(f"@{id}"))
    assert pipelines.inspect_pipeline(repo, "new").reason == new.reason
    assert tree(repo, "check@master") == {"/a": "good", "/b": "good"}  # what it was built on
    put(repo, "in@master", {"/b": "better"})
    assert ended(last_job(repo, "check")) == ("SUCCESS", 2, 1, 0, 3)
    assert ended(last_job(repo, "last")) == ("SUCCESS", 2, 1, 0, 3)
    for name in ("check", "next", "last"):
        assert tree(repo, f"{name}@master") == {"/a": "good", "/b": "better", "/c": "new"}


def test_two_datums_that_write_one_path_fail_the_job_and_the_next_one_is_clean(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1", "/b": "2"})
    info = create(repo, shell("clash", "cat /pfs/in/* >/pfs/out/same", IN))
    assert ended(info)[0] == "FAILURE"
    assert info.reason.startswith("duplicate path output by different datums (/same from ")
    datums = [each.datum.id for each in repo.call("pps_v2.API", "ListDatum", {"job": info.job})]
    assert len([each for each in datums if each in info.reason]) == 2
    assert commits.wait_commit(repo, "clash.meta@master").error == info.reason
    *_, last = repo.call("pps_v2.API", "GetLogs", {"job": info.job, "master": True})
    assert last.message == f"job failed: {info.reason}"
    modify(repo, "in@master", delete("/a"))
    assert ended(last_job(repo, "clash")) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(repo, "clash@master") == {"/same": "2"}
    (datum,) = repo.call("pps_v2.API", "ListDatum", {"job": last_job(repo, "clash").job})
    json.loads(get_bytes(repo, f"clash.meta@master:/meta/{datum.datum.id}/meta"))


def test_file_and_directory_of_one_name_fail_the_job(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "", "/b": ""})
    script = "case $in in */a) echo >/pfs/out/x;; *) mkdir /pfs/out/x; echo >/pfs/out/x/y;; esac"
    info = create(repo, shell("clash", script, IN))
    assert (ended(info)[0], info.reason) == ("FAILURE", "file / directory path collision (/x/y)")


@pytest.mark.parametrize(
    "script, reason",
    [
        (
            "echo >'/pfs/out/a*b'",
            "cannot upload file produced by the user code because its name cannot be represented in PFS: "
            "path (/a*b) invalid: globbing character (*) not allowed in path",
        ),
        ("ln -s /pfs/none /pfs/out/x", "/pfs/out/x is a link that leads nowhere"),
        ("ln -s . /pfs/out/x", "is a link to a folder that holds it"),
        ("mkfifo /pfs/out/x", "/pfs/out/x is neither a file nor a directory"),
        ("exit 3", "exit status 3"),
        ("kill -9 $$", "signal: killed"),
    ],
)
def test_datum_fails_for_a_reason_that_its_log_has(repo: Connection, script: str, reason: str) -> None:
    put(repo, "in@master", {"/a": "1"})
    info = create(repo, shell("fail", script, IN))
    assert ended(info) == ("FAILURE", 0, 0, 1, 1)
    lines = [each.message for each in repo.call("pps_v2.API", "GetLogs", {"job": info.job})]
    assert [line for line in lines if line.startswith("attempt 1 of 1 failed: ") and reason in line]


def test_links_in_the_output_are_what_they_point_to(repo: Connection) -> None:
    put(repo, "in@master", {"/d/a": "1", "/d/b": "2"})
    script = """
ln -s /pfs/in/d/a /pfs/out/file
ln -s /pfs/in/d /pfs/out/dir
mkdir /pfs/out/sub; echo x >/pfs/out/sub/real; ln -s sub /pfs/out/beside; ln -s ../sub/real /pfs/out/sub/again
"""
    create(repo, shell("links", script, pfs_input("in", "/")))
    assert tree(repo, "links@master") == {
        "/file": "1",
        "/dir/a": "1",
        "/dir/b": "2",
        "/sub/real": "x\n",
        "/sub/again": "x\n",
        "/beside/real": "x\n",
        "/beside/again": "x\n",
    }


def test_attempts_are_counted_and_each_begins_afresh(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    script = "ls /pfs/out | wc -l; echo >/pfs/out/left; exit 1"
    info = create(repo, shell("tries", script, IN, datum_tries=3))
    lines = list(repo.call("pps_v2.API", "GetLogs", {"job": info.job}))
    assert [each.message.strip() for each in lines if each.user] == ["0", "0", "0"]
    assert sum(each.message == "beginning to run user code" for each in lines) == 3
    assert [each.message for each in lines if each.message.startswith("attempt")] == [
        f"attempt {number} of 3 failed: exit status 1" for number in (1, 2, 3)
    ]


def test_recovered_datum_fails_no_job_and_is_tried_again_in_the_next(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    transform = {"err_cmd": ["sh"], "err_stdin": ["echo no matter"]}
    info = create(repo, shell("shaky", "exit 1", IN, transform=transform, datum_tries=2))
    assert (ended(info), info.data_recovered) == (("SUCCESS", 0, 0, 0, 1), 1)
    (datum,) = repo.call("pps_v2.API", "ListDatum", {"job": info.job})
    assert datum.state == 5
    put(repo, "in@master", {"/b": "2"})
    info = last_job(repo, "shaky")
    assert (ended(info), info.data_recovered) == (("SUCCESS", 0, 0, 0, 2), 2)
    assert tree(repo, "shaky@master") == {}


def test_accepted_exit_status_is_a_success(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    info = create(repo, shell("odd", f"{COPY}; exit 7", IN, transform={"accept_return_code": [7]}))
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1)
    assert tree(repo, "odd@master") == {"/a": "1"}


def test_datum_that_takes_too_long_is_stopped(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    info = create(repo, shell("slow", "sleep 600 & sleep 600", IN, datum_timeout="0.3s"))
    assert ended(info) == ("FAILURE", 0, 0, 1, 1)
    lines = [each.message for each in repo.call("pps_v2.API", "GetLogs", {"job": info.job})]
    assert [line for line in lines if line.startswith("attempt 1 of 1 failed: ") and "0.3" in line], lines


def test_step_is_told_what_it_works_on(repo: Connection) -> None:
    id = put_id(repo, "in@master", {"/d/a": "1"})
    info = create(
        repo, shell("env", "env >/pfs/out/env", pfs_input("in", "/d/*"), transform={"env": {"X": "y z"}})
    )
    text = tree(repo, "env@master")["/env"]
    (datum,) = repo.call("pps_v2.API", "ListDatum", {"job": info.job})
    for line in (
        "X=y z",
        "in=/pfs/in/d/a",
        f"in_COMMIT={id}",
        f"PACH_JOB_ID={info.job.id}",
        f"PACH_OUTPUT_COMMIT_ID={info.job.id}",
        f"PACH_DATUM_ID={datum.datum.id}",
        "PPS_PIPELINE_NAME=env",
        "PPS_PROJECT_NAME=default",
    ):
        assert line in text.splitlines()


def state(info: Any) -> str:
    return schema.enum_name("pps_v2.PipelineState", info.state)


def test_wrong_image_is_told_in_the_pipeline_and_in_the_job(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    info = create(repo, shell("lost", COPY, IN, transform={"image": "pachlet/nope"}))
    assert ended(info)[0] == "FAILURE"
    assert "pachlet/nope" in info.reason
    (listed,) = pipelines.list_pipeline(repo)
    assert (state(listed), listed.reason) == ("PIPELINE_CRASHING", info.reason)
    assert ended(create(repo, shell("lost", COPY, IN), update=True)) == ("SUCCESS", 1, 0, 0, 1)
    assert state(next(pipelines.list_pipeline(repo))) == "PIPELINE_RUNNING"


def test_missing_command_fails_the_job(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "1"})
    info = create(repo, {"pipeline": {"name": "idle"}, "transform": {"image": "alpine"}, "input": IN})
    assert ended(info)[0] == "FAILURE"
    lines = [each.message for each in repo.call("pps_v2.API", "GetLogs", {"job": info.job})]
    assert any("invalid pipeline transform, no command specified" in line for line in lines)


def test_diamond_reads_one_state_of_the_source(repo: Connection) -> None:
    for name in ("left", "right"):
        create(repo, shell(name, f"sed s/^/{name}-/ /pfs/in/a >/pfs/out/a", pfs_input("in", "/")))
    both = {"cross": [pfs_input("left", "/"), pfs_input("right", "/")]}
    create(repo, shell("join", "cat /pfs/left/a /pfs/right/a >/pfs/out/a", both))
    for number in range(3):
        put(repo, "in@master", {"/a": f"{number}\n"})
    last_job(repo, "join")
    for number in range(3):
        back = "^" * (2 - number)
        assert tree(repo, f"join@master{back}") == {"/a": f"left-{number}\nright-{number}\n"}
    per_job = [each.job.id for each in jobs.list_job(repo, pipeline="join")]
    assert len(per_job) == len(set(per_job)) == 4


def test_workers_run_side_by_side(repo: Connection) -> None:
    put(repo, "in@master", {"/a": "", "/b": ""})
    script = "echo >/pfs/out/$(basename $in); sleep 0.2"
    info = create(repo, shell("pair", script, IN, parallelism_spec={"constant": 2}))
    assert ended(info) == ("SUCCESS", 2, 0, 0, 2)
    workers = {
        each.worker_id for each in repo.call("pps_v2.API", "GetLogs", {"job": info.job}) if each.datum_id
    }
    assert len(workers) == 2
    assert paths(repo.call("pfs_v2.API", "ListFile", {"file": {"commit": info.output_commit}})) == [
        "/a",
        "/b",
    ]
