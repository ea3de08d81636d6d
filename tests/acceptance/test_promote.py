"""pachlet promote and rollback: the branch moves with a reason, what reads it runs and nothing else, and back again."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import branches, commits, jobs, repos
from pachlet.client.connection import Connection
from tests.acceptance.words import create, last_job, pfs_input, put_id, shell, tree

COINS = ("ada", "btc", "eth")


def typed(connection: Connection, *words: str) -> tuple[int, str, str]:
    """Type a command; return its status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    server = {"PACHD_ADDRESS": str(connection.address), "PACH_CONFIG": "/nowhere/config.json"}
    return (
        main.run(Session(server, out=out, err=err, program="pachlet"), words),
        out.getvalue(),
        err.getvalue(),
    )


def joined(repo: str, **more: Any) -> dict[str, Any]:
    return pfs_input(repo, "/(*)", join_on="$1", **more)


@pytest.fixture
def company(connection: Connection) -> Connection:
    """Scores, compare (which copies them), series; predict joins compare@live and series; report gathers."""
    for repo in ("scores", "series"):
        repos.create_repo(connection, repo)
        put_id(connection, f"{repo}@master", {f"/{coin}": f"{repo} 1\n" for coin in COINS})
    create(connection, shell("compare", "cp /pfs/scores/* /pfs/out", pfs_input("scores", "/")))
    branches.create_branch(connection, "compare@live", head="master")
    both = {"join": [joined("compare", branch="live"), joined("series")]}
    create(
        connection, shell("predict", "cat /pfs/compare/* /pfs/series/* > /pfs/out/$(ls /pfs/series)", both)
    )
    create(connection, shell("report", "cat /pfs/predict/* > /pfs/out/all", pfs_input("predict", "/")))
    return connection


def rescore(connection: Connection, text: str, *coins: str) -> str:
    """Put other scores of some coins; return the commit of compare that comes of it."""
    put_id(connection, "scores@master", {f"/{coin}": text for coin in coins})
    return str(last_job(connection, "compare").job.id)


def count(connection: Connection) -> dict[str, int]:
    return {name: len(list(jobs.list_job(connection, name))) for name in ("compare", "predict", "report")}


def test_promotion_reruns_what_reads_it_and_no_more(company: Connection) -> None:
    new = rescore(company, "scores 2\n", "btc")
    before, old = count(company), tree(company, "predict@master")
    live = branches.inspect_branch(company, "compare@live").head.id
    status, out, _ = typed(company, "promote", "compare@master", "--dry-run")
    assert (status, out.splitlines()) == (
        0,
        [
            f"compare@live would move: {live} -> {new}",
            "files that differ: /btc",
            "default/predict: 1 of 3 datums read what is different",
            "after that, where the output is different: default/report",
        ],
    )
    assert count(company) == before
    assert branches.inspect_branch(company, "compare@live").head.id == live
    status, out, err = typed(company, "promote", "compare@master", "--reason", "it beats naive", "--wait")
    assert (status, [line.partition(";")[0] for line in out.splitlines()]) == (
        0,
        [
            f"compare@live: {live} -> {new}",
            "predict: processed 1, skipped 2, failed 0",
            "report: processed 1, skipped 0, failed 0",
        ],
    ), err
    assert count(company) == {"compare": before["compare"], "predict": 2, "report": 2}
    assert tree(company, "predict@master") == old | {"/btc": "scores 2\nseries 1\n"}


def test_files_that_are_new_to_the_readers_are_foreseen(company: Connection) -> None:
    """As at a first promotion: the branch had no file that an outer join could have joined."""
    put_id(company, "series@master", {"/doge": "series 1\n"})
    rescore(company, "scores 1\n", "doge")
    _, out, _ = typed(company, "promote", "compare@master", "--dry-run")
    assert out.splitlines()[1:3] == [
        "files that differ: /doge",
        "default/predict: 0 of 3 datums read what is different; 1 file that no datum reads yet",
    ]
    _, out, _ = typed(company, "promote", "compare@master", "--reason", "a coin more", "--wait")
    assert "predict: processed 1, skipped 3, failed 0" in out


def test_rollback_goes_back_step_by_step(company: Connection) -> None:
    heads = [branches.inspect_branch(company, "compare@live").head.id]
    made = [tree(company, "predict@master")]
    for number in (2, 3):
        heads.append(rescore(company, f"scores {number}\n", "btc"))
        assert typed(company, "promote", "compare@master", "--reason", f"number {number}", "--wait")[0] == 0
        made.append(tree(company, "predict@master"))
    for number in (1, 0):
        status, out, _ = typed(company, "rollback", "compare@live", "--reason", "it was worse", "--wait")
        assert (status, out.splitlines()[0]) == (0, f"compare@live: {heads[number + 1]} -> {heads[number]}")
        assert "predict: processed 1, skipped 2, failed 0" in out
        assert tree(company, "predict@master") == made[number]
    status, _, err = typed(company, "rollback", "compare@live", "--reason", "further")
    assert (status, "nothing is known of where compare@live was before" in err) == (1, True)
    status, out, _ = typed(
        company, "rollback", "compare@live", "--to", heads[2], "--reason", "no, it was good"
    )
    assert (status, out) == (0, f"compare@live: {heads[0]} -> {heads[2]}\n")
    _, out, _ = typed(company, "list", "promotion", "compare@live")
    told = [line.split(maxsplit=4) for line in out.splitlines()]
    assert [(kind, head) for _, kind, head, *_ in told] == [
        ("rollback", heads[2]),
        ("rollback", heads[0]),
        ("rollback", heads[1]),
        ("promote", heads[2]),
        ("promote", heads[1]),
    ]
    assert "@" in told[0][3]
    assert told[0][4] == "no, it was good  (now)"


def test_a_branch_that_nobody_reads_is_said_to_be_one(company: Connection) -> None:
    words = ("promote", "compare@master", "--to", "lvie")
    assert "no pipeline reads compare@lvie" in typed(company, *words, "--dry-run")[1]
    status, _, err = typed(company, *words, "--reason", "better")
    assert (status, err) == (0, "note: no pipeline reads compare@lvie\n")
    rescore(company, "scores 2\n", "btc")
    assert typed(company, "promote", "compare@master", "--reason", "better")[2] == ""


def test_a_move_by_other_means_is_noticed(company: Connection) -> None:
    first = branches.inspect_branch(company, "compare@live").head.id
    second = rescore(company, "scores 2\n", "btc")
    typed(company, "promote", "compare@master", "--reason", "better")
    third = rescore(company, "scores 3\n", "btc")
    branches.create_branch(company, "compare@live", head=third)
    _, _, err = typed(company, "list", "promotion", "compare@live")
    assert err == f"compare@live is at {third}: it was moved by other means since\n"
    _, out, _ = typed(company, "rollback", "compare@live", "--reason", "who did that?")
    assert out == f"compare@live: {third} -> {second}\n"
    _, out, _ = typed(company, "rollback", "compare@live", "--reason", "that, too")
    assert out == f"compare@live: {second} -> {first}\n"


def test_the_record_is_metadata_of_the_branch(company: Connection) -> None:
    before = branches.inspect_branch(company, "compare@live").head.id
    new = rescore(company, "scores 2\n", "btc")
    typed(company, "promote", f"compare@{new}", "--reason", 'so "many" reasons')
    [(key, value)] = branches.inspect_branch(company, "compare@live").metadata.items()
    kept = json.loads(value)
    assert key == "promotion-0001"
    assert (kept["head"], kept["before"], kept["why"]) == (new, before, 'so "many" reasons')
    assert kept["at"].endswith("Z")


def test_a_branch_that_is_not_there_is_made(company: Connection) -> None:
    status, out, _ = typed(company, "promote", "compare@master", "--to", "staging", "--reason", "to try")
    head = commits.inspect_commit(company, "compare@master").commit.id
    assert (status, out) == (0, f"compare@staging: nothing -> {head}\n")
    assert branches.inspect_branch(company, "compare@staging").head.id == head
    status, out, _ = typed(company, "promote", "compare@master", "--to", "staging", "--reason", "again")
    assert (status, out) == (0, f"compare@staging is at {head} already\n")


def test_a_trigger_stays(company: Connection) -> None:
    branches.create_branch(company, "compare@live", head="master", trigger={"branch": "master", "commits": 9})
    new = rescore(company, "scores 2\n", "btc")
    typed(company, "promote", f"compare@{new}", "--reason", "sooner")
    info = branches.inspect_branch(company, "compare@live")
    assert (info.head.id, info.trigger.branch, info.trigger.commits) == (new, "master", 9)


def test_what_can_not_be_promoted(company: Connection) -> None:
    def refused(*words: str) -> tuple[int, str]:
        status, out, err = typed(company, *words, "--reason", "x")
        assert out == ""
        return status, err

    status, err = refused("promote", f"compare@{'0' * 32}")
    assert (status, "not found" in err) == (1, True)
    status, err = refused("promote", "compare@live", "--to", "master")
    assert (status, "follows other branches, so its head is computed" in err) == (1, True)
    status, err = refused("rollback", "compare@nothing")
    assert (status, "there is no branch compare@nothing" in err) == (1, True)
    commits.start_commit(company, "scores@master")
    status, err = refused("promote", "scores@master")
    assert (status, "is not finished" in err) == (1, True)
    commits.finish_commit(company, "scores@master", error="half of it is missing")
    status, err = refused("promote", "scores@master")
    assert (status, "can't be promoted: half of it is missing" in err) == (1, True)
    rescore(company, "scores 2\n", "btc")
    status, _, err = typed(company, "promote", "compare@master")
    assert (status, 'a promotion has a reason; add --reason "..."' in err) == (2, True)
