"""A step that behaves badly harms its own datum at most, never the server or other datums."""

from __future__ import annotations

from typing import Any

import pytest

from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import Refused
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


@pytest.mark.parametrize(
    "transform",
    [{"cmd": ["echo", "a\0b"]}, {"working_dir": "/a\0b"}, {"env": {"A=B": "1"}}, {"env": {"A": "\0"}}],
)
def test_a_command_that_can_not_be_started_is_refused_and_one_taken_before_fails_its_datum(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, transform: dict[str, Any]
) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    spec = shell("p", "true", pfs_input("in"), transform=transform)
    with pytest.raises(Refused, match=r"^invalid transform: "):
        pipelines.create_pipeline(connection, spec)
    monkeypatch.setattr("pachlet.spec.validate._check_command", lambda transform: None)
    assert create(connection, spec).reason.partition(" failed: ")[2].startswith("what is to be run: ")


def test_a_script_may_have_any_character_in_it(connection: Connection) -> None:
    repos.create_repo(connection, "in")
    put(connection, "in@master", {"/a": "1"})
    create(
        connection, shell("p", "a\0b", pfs_input("in"), transform={"cmd": ["sh", "-c", "cat > /pfs/out/a"]})
    )
    assert tree(connection, "p@master") == {"/a": "a\0b\n"}
