"""Datums of a job: how they are listed, filtered, paged and inspected, and what is recorded of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.errors import InvalidArgument, NotFound
from pachlet.wire import schema
from tests.acceptance.words import PPS, create, last_job, paths, pfs_input, put, shell

SCRIPT = "case $in in */bad) exit 1;; esac; cp $in /pfs/out/"


STATES = ("SUCCESS", "FAILED")


@pytest.fixture
def done(connection: Connection) -> Connection:
    """A pipeline `p` whose last job kept datum a, made b and failed at bad."""
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    create(connection, shell("p", SCRIPT, pfs_input("in")))
    put(connection, "in@master", {"/b": "22", "/bad": "3"})
    last_job(connection, "p")
    return connection


def states(datums: Any) -> dict[str, str]:
    return {each.data[0].file.path: schema.enum_name("pps_v2.DatumState", each.state) for each in datums}


def listed(connection: Connection, **more: Any) -> list[Any]:
    return list(connection.call(PPS, "ListDatum", {"job": last_job(connection, "p").job, **more}))


def test_datums_have_states(done: Connection) -> None:
    assert states(listed(done)) == {"/a": "SKIPPED", "/b": "SUCCESS", "/bad": "FAILED"}
    assert states(listed(done, filter={"state": ["FAILED"]})) == {"/bad": "FAILED"}
    assert set(states(listed(done, filter={"state": ["SUCCESS", "SKIPPED"]}))) == {"/a", "/b"}
    assert listed(done, filter={"state": [77]}) == []
    assert listed(done, filter={"state": ["RECOVERED"]}) == []


def test_datums_of_a_state_are_paged_as_all_are(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {f"/{name}": name for name in ("a", "b", "bad-c", "bad-d", "e")})
    create(connection, shell("p", "! ls /pfs/in | grep bad && cp /pfs/in/* /pfs/out/", pfs_input("in")))
    of = {
        state: [each.datum.id for each in listed(connection, filter={"state": [state]})] for state in STATES
    }
    assert {state: len(ids) for state, ids in of.items()} == {"SUCCESS": 3, "FAILED": 2}
    everything = sorted([*of["SUCCESS"], *of["FAILED"]])
    assert [each.datum.id for each in listed(connection, filter={"state": list(STATES)})] == everything
    for state, ids in of.items():
        wanted = {"filter": {"state": [state]}}
        assert [each.datum.id for each in listed(connection, number=1, **wanted)] == ids[:1]
        assert [each.datum.id for each in listed(connection, paginationMarker=ids[0], **wanted)] == ids[1:]
        last = listed(connection, number=9, reverse=True, **wanted)
        assert [each.datum.id for each in last] == ids[::-1]


def test_datums_are_paged_by_id(done: Connection) -> None:
    ids = [each.datum.id for each in listed(done)]
    assert ids == sorted(ids)
    assert [each.datum.id for each in listed(done, number=2)] == ids[:2]
    assert [each.datum.id for each in listed(done, paginationMarker=ids[0])] == ids[1:]
    assert [each.datum.id for each in listed(done, number=2, reverse=True)] == ids[:0:-1]
    more = {"number": 9, "reverse": True, "paginationMarker": ids[2]}
    assert [each.datum.id for each in listed(done, **more)] == ids[1::-1]
    for wrong in ({"reverse": True}, {"number": -1}):
        with pytest.raises(InvalidArgument, match="number"):
            listed(done, **wrong)


def test_datum_says_what_it_ran_on(done: Connection) -> None:
    job = last_job(done, "p").job
    (datum,) = listed(done, filter={"state": ["SUCCESS"]})
    info = done.call(PPS, "InspectDatum", {"datum": {"job": job, "id": datum.datum.id}})
    assert info == datum
    (file,) = info.data
    assert (file.file.path, file.size_bytes, file.file.commit.id) == ("/b", 2, job.id)
    assert info.stats.download_bytes == info.stats.upload_bytes == 2
    assert info.image_id.startswith("alpine@sha256:")


def test_skipped_datum_belongs_to_the_job_that_made_it(done: Connection) -> None:
    (datum,) = listed(done, filter={"state": ["SKIPPED"]})
    assert datum.datum.job.id != last_job(done, "p").job.id
    (made,) = done.call(PPS, "ListDatum", {"job": datum.datum.job})
    assert made.datum == datum.datum
    assert states([made]) == {"/a": "SUCCESS"}


def test_meta_repo_mirrors_each_datum(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/d/a": "1", "/d/b": "2"})
    info = create(connection, shell("p", "cp /pfs/in/d/* /pfs/out/", pfs_input("in")))
    (datum,) = connection.call(PPS, "ListDatum", {"job": info.job})
    id, meta = datum.datum.id, {"name": "p", "type": "meta"}
    assert datum.pfs_state.path == f"/pfs/{id}"
    glob = {"commit": {"repo": meta, "id": info.job.id}, "pattern": "/**"}
    found = [path for path in paths(connection.call("pfs_v2.API", "GlobFile", glob)) if path[-1] != "/"]
    assert found == [
        f"/meta/{id}/meta",
        f"/pfs/{id}/in/d/a",
        f"/pfs/{id}/in/d/b",
        f"/pfs/{id}/out/a",
        f"/pfs/{id}/out/b",
    ]
    record = json.loads(get_bytes(connection, f"p.meta@{info.job.id}:/meta/{id}/meta"))
    assert (record["state"], record["version"], record["image"]["kind"]) == ("success", 1, "host")
    assert record["inputs"][0]["hash"] == datum.data[0].hash.hex()


def test_what_is_missing_is_told(done: Connection) -> None:
    job = last_job(done, "p").job
    for request, kind, text in (
        ({}, InvalidArgument, "must specify a datum"),
        ({"datum": {"id": "x"}}, InvalidArgument, "must specify a job"),
        ({"datum": {"id": "x", "job": job}}, NotFound, f"datum x not found in job {job.id}"),
    ):
        with pytest.raises(kind, match=text):
            done.call(PPS, "InspectDatum", request)
    with pytest.raises(InvalidArgument, match="must specify a job"):
        list(done.call(PPS, "ListDatum", {}))
    both = {"job": job, "input": {"pfs": {"repo": "in", "glob": "/*"}}}
    with pytest.raises(InvalidArgument, match="cannot specify both job and input"):
        list(done.call(PPS, "ListDatum", both))


def test_datums_of_an_input_without_a_job(done: Connection) -> None:
    found = list(done.call(PPS, "ListDatum", {"input": {"pfs": {"repo": "in", "glob": "/*"}}}))
    assert states(found) == {"/a": "UNKNOWN", "/b": "UNKNOWN", "/bad": "UNKNOWN"}
    assert {each.datum.id for each in found} == {each.datum.id for each in listed(done)}
    with pytest.raises(NotFound, match="none"):
        list(done.call(PPS, "ListDatum", {"input": {"pfs": {"repo": "none", "glob": "/*"}}}))
