"""A step that behaves badly harms its own datum at most, never the server or other datums."""

from __future__ import annotations

from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.testing import RunningServer
from tests.acceptance.words import PPS, create, last_job, pfs_input, put, shell, tree


def test_a_step_that_prints_without_pause_is_ended_in_time_and_fills_no_disk(
    server: RunningServer, connection: Connection
) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    create(connection, shell("p", "yes", pfs_input("in"), datum_timeout="1s"))
    info = last_job(connection, "p")
    lines = [each.message for each in connection.call(PPS, "GetLogs", {"job": info.job})]
    assert "attempt 1 of 1 failed: timed out after 1 seconds" in lines
    assert any(line.startswith("… ") and line.endswith(" left out") for line in lines)
    assert 20_000 < len(lines) < 20_020
    assert sum(path.stat().st_size for path in server.data_dir.rglob("*") if path.is_file()) < 30_000_000


def test_a_step_that_closes_its_output_is_read_all_the_same(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1", "/b": "2"})
    script = "mkdir /pfs/out/d; cp $in /pfs/out/d/; chmod 000 /pfs/out/d/* /pfs/out/d /pfs/out"
    create(connection, shell("p", script, pfs_input("in")))
    assert tree(connection, "p@master") == {"/d/a": "1", "/d/b": "2"}
