"""The main job on bad input: a sentence and a next step, and nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import files, repos
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.testing import RunningServer
from tests.acceptance.clone import Clone


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    made = Clone(tmp_path / "clone")
    yield made
    made.stop()


def refused(clone: Clone, *arguments: str | Path) -> str:
    done = clone.main_job(*arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith("make run: ")
    return done.stderr


def test_a_refused_folder_of_prices_leaves_the_old_ones(
    clone: Clone, server: RunningServer, tmp_path: Path
) -> None:
    with Connection(server.address, project="default") as connection:
        connection.call("pfs_v2.API", "CreateProject", {"project": {"name": "crypto"}})
        repos.create_repo(connection, "crypto/prices")
        put_file(connection, "crypto/prices@master", [from_bytes("/raw/Old.csv", b"old")])
        data = tmp_path / "prices"
        data.mkdir()
        (data / "Good.csv").write_text("x")
        (data / "bad ü *.csv").write_text("x")
        said = refused(clone, "--data", data, "--address", server.address)
        assert "only printable ASCII characters allowed" in said
        found = [info.file.path for info in files.walk_file(connection, "crypto/prices@master:/raw")]
        assert found == ["/raw/", "/raw/Old.csv"]


def test_what_is_no_folder_of_prices_is_told(clone: Clone, server: RunningServer, tmp_path: Path) -> None:
    for data in (tmp_path / "nowhere", tmp_path):
        assert "there is no .csv file" in refused(clone, "--data", data, "--address", server.address)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "gone")
    assert "there is no .csv file" in refused(clone, "--data", tmp_path, "--address", server.address)


def test_a_data_directory_that_can_not_be_is_told(clone: Clone) -> None:
    (clone.folder / "file").write_text("")
    assert "choose another" in refused(clone, "--data-dir", clone.folder / "file")


def test_another_server_at_a_dead_servers_address_is_left_alone(clone: Clone, tmp_path: Path) -> None:
    """The note of a server that was killed may name an address that is another's by now."""
    with testing.server(tmp_path / "other") as other:
        clone.data_dir.mkdir()
        note = {"address": other.address, "pid": 1, "deployment_id": "0" * 32}
        (clone.data_dir / "server.json").write_text(json.dumps(note))
        (clone.data_dir / "lock").touch()
        empty = tmp_path / "empty"
        empty.mkdir()
        assert "there is no .csv file" in refused(clone, "--data", empty)
        with Connection(other.address) as connection:
            assert list(repos.list_repo(connection, all_projects=True)) == []
        assert clone.server()["address"] != other.address
