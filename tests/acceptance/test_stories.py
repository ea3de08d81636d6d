"""Stories that users of Pachyderm told, told again here: one bad item, a new model that must not run everything."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import Unimplemented
from pachlet.wire import schema
from tests.acceptance.words import create, ended, head, job, last_job, pfs_input, put, put_id, shell, tree

COINS = 100


def states(connection: Connection, info: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for datum in connection.call("pps_v2.API", "ListDatum", {"job": info.job}):
        name = schema.enum_name("pps_v2.DatumState", datum.state)
        counts[name] = counts.get(name, 0) + 1
    return counts


def test_p984_one_bad_coin_of_a_hundred_sinks_nothing(connection: Connection) -> None:
    repos.create_repo(connection, "coins")
    put(
        connection,
        "coins@master",
        {f"/{number:02}": "broken" if number == 42 else "fine" for number in range(COINS)},
    )
    script = "grep -q broken $coins && exit 1; cp $coins /pfs/out/"
    kind = {"transform": {"err_cmd": ["true"]}, "parallelism_spec": {"constant": 2}}
    info = create(connection, shell("clean", script, pfs_input("coins"), **kind))
    assert (ended(info), info.data_recovered) == (("SUCCESS", COINS - 1, 0, 0, COINS), 1)
    assert states(connection, info) == {"SUCCESS": COINS - 1, "RECOVERED": 1}
    assert len(tree(connection, "clean@master")) == COINS - 1

    put(connection, "coins@master", {"/42": "mended"})
    info = last_job(connection, "clean")
    assert ended(info) == ("SUCCESS", 1, COINS - 1, 0, COINS)
    assert tree(connection, "clean@master")["/42"] == "mended"

    put(connection, "coins@master", {"/42": "broken"})
    assert last_job(connection, "clean").data_recovered == 1
    mended = shell("clean", "tr b B <$coins >/pfs/out/$(basename $coins)", pfs_input("coins"), **kind)
    assert ended(create(connection, mended, update=True)) == ("SUCCESS", 1, COINS - 1, 0, COINS)
    assert tree(connection, "clean@master")["/42"] == "Broken"


def provenance(connection: Connection, output: str, repo: str) -> str:
    """Return the commit of a repo that an output commit was made from."""
    (found,) = [each.id for each in head(connection, output).direct_provenance if each.repo.name == repo]
    return str(found)


def test_p2296_a_new_model_runs_nothing_and_the_next_event_uses_it(connection: Connection) -> None:
    for name in ("events", "model"):
        repos.create_repo(connection, name)
    first = put_id(connection, "model@master", {"/weights": "1"})
    put(connection, "events@master", {"/monday": "a"})
    quiet = {"propagation_spec": {"never": True}, "reference": True}
    crossed = {"cross": [pfs_input("events"), pfs_input("model", "/", **quiet)]}
    script = "cat $events $model/weights >/pfs/out/$(basename $events)"
    assert ended(create(connection, shell("infer", script, crossed))) == ("SUCCESS", 1, 0, 0, 1)
    assert provenance(connection, "infer@master", "model") == first

    second = put_id(connection, "model@master", {"/weights": "2"})
    assert {each.job.id for each in jobs.list_job(connection)} & {second} == set()
    assert len(list(jobs.list_job(connection, "infer"))) == 1

    event = put_id(connection, "events@master", {"/tuesday": "b"})
    assert len(list(jobs.list_job(connection, "infer"))) == 2
    info = job(connection, "infer", event)
    assert ended(info) == ("SUCCESS", 1, 1, 0, 2)
    assert tree(connection, "infer@master") == {"/monday": "a1", "/tuesday": "b2"}
    assert provenance(connection, "infer@master", "model") == second
    (made,) = [
        each
        for each in connection.call("pps_v2.API", "ListDatum", {"job": info.job})
        if each.datum.job.id == event
    ]
    assert [each.file.commit.id for each in made.data] == [event, second]
    # Who wants the old events judged by the new model says so.
    assert ended(create(connection, shell("infer", script, crossed), update=True, reprocess=True))[1:3] == (
        2,
        0,
    )
    assert tree(connection, "infer@master") == {"/monday": "a2", "/tuesday": "b2"}


def test_input_with_a_trigger_runs_when_that_fires(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    create(connection, shell("p", "cp $in /pfs/out/", pfs_input("in", trigger={"commits": 2})))
    assert pipelines.inspect_pipeline(connection, "p").details.input.pfs.branch == "p-trigger-1"
    seen = []
    for number in range(4):
        id = put_id(connection, "in@master", {f"/{number}": "x"})
        commits.wait_commit(connection, f"in@{id}")  # what it triggers has been triggered then
        seen.append((ended(last_job(connection, "p")), len(list(jobs.list_job(connection, "p")))))
    assert seen == [
        (("SUCCESS", 0, 0, 0, 0), 1),
        (("SUCCESS", 2, 0, 0, 2), 2),
        (("SUCCESS", 2, 0, 0, 2), 2),
        (("SUCCESS", 2, 2, 0, 4), 3),
    ]


def test_s3_inputs_and_outputs_wait_for_the_gateway(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    for spec in (
        shell("p", "true", pfs_input("in", "/", s3=True)),
        shell("p", "true", pfs_input("in"), s3_out=True),
    ):
        with pytest.raises(Unimplemented, match="S3 gateway"):
            pipelines.create_pipeline(connection, spec)
