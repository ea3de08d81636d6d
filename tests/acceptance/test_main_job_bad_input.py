"""The main job on bad input: a sentence and a next step, and nothing lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import files, repos
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.errors import FailedPrecondition
from pachlet.testing import RunningServer
from pipelines import live
from pipelines.main_job import start_server
from pipelines.making import at_work
from tests.acceptance.clone import Clone
from tests.local_exchange import exchange


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
        (data / "Coïn.csv").write_text("x")
        (data / "a*.csv").write_text("x")
        said = refused(clone, "--data", data, "--address", server.address)
        assert "2 files have names that no repo can hold" in said
        assert "Coïn.csv: only printable ASCII characters allowed" in said
        assert "a*.csv: globbing character (*) not allowed" in said
        assert "next: rename them" in said
        found = [info.file.path for info in files.walk_file(connection, "crypto/prices@master:/raw")]
        assert found == ["/raw/", "/raw/Old.csv"]


def test_what_is_no_folder_of_prices_is_told(clone: Clone, server: RunningServer, tmp_path: Path) -> None:
    assert "is no folder" in refused(clone, "--data", tmp_path / "nowhere")
    assert not clone.data_dir.exists()  # and nothing was started
    assert "there is no .csv file" in refused(clone, "--data", tmp_path, "--address", server.address)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "gone")
    assert "there is no .csv file" in refused(clone, "--data", tmp_path, "--address", server.address)


def test_files_of_which_none_can_be_read_are_told_each_with_the_reason(clone: Clone, tmp_path: Path) -> None:
    data = tmp_path / "prices"
    data.mkdir()
    (data / "Picture.csv").write_bytes(b"\x89PNG\r\n")
    (data / "Young.csv").write_text("Date,Open,High,Low,Close,Volume,Market Cap\n2017-09-22,1,1,1,1,-,-\n")
    done = clone.main_job("--data", data)
    assert (done.returncode, done.stderr) == (1, "")
    said = done.stdout.partition("there is no coin to forecast:\n")[2].splitlines()
    assert said[0].startswith("  Picture.csv: none of the ")
    assert said[1].startswith("  Young.csv: its last unbroken run of days has 1 rows")
    assert said[2].startswith("  next: put price files that can be read")


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
        start = (
            f"from pipelines import main_job as job; job.start_server(job.Path({str(clone.data_dir)!r}), 0)"
        )
        subprocess.run([sys.executable, "-c", start], cwd=clone.folder, check=True)
        with Connection(other.address) as connection:
            assert list(repos.list_repo(connection, all_projects=True)) == []
        assert clone.server()["address"] != other.address


def test_words_that_are_none_are_told_as_make_has_them(clone: Clone) -> None:
    said = refused(clone, "--port", "abc")
    assert "PORT=abc is no port" in said
    assert "usage" not in said
    said = refused(clone, "--runner", "banana")
    assert "RUNNER=banana is no way to run steps" in said
    assert "auto, process, container" in said
    assert not clone.data_dir.exists()


def test_a_port_that_is_taken_is_told_as_make_has_it(clone: Clone) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(clone, "--port", str(port))
    assert f"port {port}" in said
    assert "PORT=" in said
    assert "--port" not in said


def test_a_port_other_than_that_of_the_running_server_is_told(clone: Clone) -> None:
    said: list[str] = []
    with testing.server(clone.data_dir) as running:
        port = int(running.address.rpartition(":")[2])
        for wanted in (None, 0, port, port - 1):
            assert start_server(clone.data_dir, wanted, tell=said.append) == running.address
    (line,) = said
    assert line.startswith(
        f"PORT={port - 1} is not used: a server runs on {clone.data_dir} already, at {running.address}"
    )
    assert "`make stop` first" in line


def test_a_second_one_on_the_same_data_directory_is_told_who_is_at_work(clone: Clone) -> None:
    with at_work(clone.data_dir, "make run"):
        said = refused(clone)
        assert f"another make run is at work on {clone.data_dir} (process {os.getpid()})" in said
        assert "next: wait for it, or choose another DATA_DIR" in said
        words = [sys.executable, "-m", "pipelines.verify", "--data-dir", str(clone.data_dir), "--port", "0"]
        done = subprocess.run(words, cwd=clone.folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, said.replace("make run: ", "make verify: ", 1))
        assert not (clone.data_dir / "server.json").exists()
    with (
        at_work(clone.data_dir, "make prices"),
        pytest.raises(FailedPrecondition, match="another make prices"),
        at_work(clone.data_dir, "make run"),
    ):
        raise AssertionError


@pytest.mark.parametrize("trouble", ["nobody", "503", "no address"])
def test_prices_without_an_exchange_end_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trouble: str
) -> None:
    with exchange() as market:
        market.trouble = [503]
        url = {"503": market.url, "no address": "http://["}.get(trouble, "http://127.0.0.1:9")
        monkeypatch.setenv("PRICES_URL", url)
        monkeypatch.setattr("sys.argv", ["live", "--data-dir", str(tmp_path / "data")])
        assert live.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"make prices: the exchange at {url} can't be reached")
    assert "next: see to the way to the internet" in said.err
    assert not (tmp_path / "data").exists()


def test_an_exchange_that_answers_is_reached() -> None:
    with exchange() as market:
        live.reach_exchange(market.url)
        assert [product for product, _, _ in market.asked] == ["BTC-USD"]
