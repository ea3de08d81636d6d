"""What a spec says of limits, memory_volume and secrets holds for its datums, and is told in Pachyderm's places."""

from __future__ import annotations

import json

from pachlet.client import datums, repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.testing import RunningServer
from tests.acceptance.words import PPS, create, ended, last_job, pfs_input, put, shell, tree

EAT = "python3 -c 'x = bytearray(400 << 20)'"


def logs(connection: Connection, pipeline: str) -> str:
    info = last_job(connection, pipeline)
    return "\n".join(each.message for each in connection.call(PPS, "GetLogs", {"job": info.job}))


def test_a_datum_past_its_memory_limit_fails_with_the_reason(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    info = create(connection, shell("p", EAT, pfs_input("in"), resource_limits={"memory": "64Mi"}))
    assert ended(info)[0] == "FAILURE"
    assert "killed: used more than its limit of 64 MiB of memory (peak" in logs(connection, "p")
    (datum,) = connection.call(PPS, "ListDatum", {"job": info.job})
    record = datums.datum_record(connection, datum)
    assert record["reason"].startswith("killed: used more than its limit of 64 MiB")
    assert record["stats"]["peak_memory"] > 32 << 20


def test_the_peak_is_in_the_record_with_the_means(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    create(connection, shell("p", EAT, pfs_input("in")))
    (datum,) = connection.call(PPS, "ListDatum", {"job": last_job(connection, "p").job})
    record = json.loads(get_bytes(connection, f"p.meta@master:/meta/{datum.datum.id}/meta"))
    assert 400 << 20 < record["stats"]["peak_memory"] < 800 << 20
    info = datums.inspect_datum(connection, f"p@{datum.datum.job.id}", datum.datum.id)
    assert datums.datum_record(connection, info) == record
    assert set(record["image"]["provenance"]["limits"]) == {"memory", "cpu", "processes", "disk"}


def test_a_secret_is_in_its_own_pipelines_steps_and_nowhere_else(
    server: RunningServer, connection: Connection
) -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"password": "tell-nobody-7319", "user": "me"}}
    connection.call(PPS, "CreateSecret", {"file": json.dumps(secret).encode()})
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    given = [{"name": "s", "key": "password", "env_var": "PASSWORD", "mount_path": "/s"}]
    script = "echo $PASSWORD | md5sum > /pfs/out/env; md5sum < /s/password > /pfs/out/file; cat /s/user > /pfs/out/user"
    create(connection, shell("own", script, pfs_input("in"), transform={"secrets": given}))
    found = tree(connection, "own@master")
    assert found["/user"] == "me"
    assert found["/env"] != found["/file"]  # echo adds a newline

    other = "ls -d /s >> /pfs/out/x; env >> /pfs/out/x; cat /proc/*/environ >> /pfs/out/x; true"
    create(connection, shell("other", other, pfs_input("in")))
    assert "PASSWORD" not in tree(connection, "other@master")["/x"]

    files = [
        path
        for path in server.data_dir.rglob("*")
        if path.is_file() and not path.name.startswith("pachlet.db")
    ]
    assert not [path for path in files if b"tell-nobody-7319" in path.read_bytes()]
    assert "tell-nobody-7319" not in logs(connection, "own")


def test_a_secret_that_was_made_again_is_the_new_one_for_the_next_job(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    given = {"secrets": [{"name": "s", "key": "k", "env_var": "K"}]}
    for text in ("one", "two"):
        secret = {"metadata": {"name": "s"}, "stringData": {"k": text}}
        connection.call(PPS, "CreateSecret", {"file": json.dumps(secret).encode()})
        put(connection, "in@master", {"/a": text})
        if text == "one":
            create(connection, shell("p", "echo $K > /pfs/out/k", pfs_input("in"), transform=given))
        last_job(connection, "p")
        assert tree(connection, "p@master") == {"/k": f"{text}\n"}
        connection.call(PPS, "DeleteSecret", {"secret": {"name": "s"}})


def test_a_memory_volume_is_in_memory(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    script = "stat -f -c %T /pfs/out /tmp > /pfs/out/kind; cat $in >> /pfs/out/kind"
    create(connection, shell("p", script, pfs_input("in"), transform={"memory_volume": True}))
    assert tree(connection, "p@master") == {"/kind": "tmpfs\ntmpfs\n1"}
