"""Environments are made from pinned, hash-checked requirements, once; from a wheel made here, without a network."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import FailedPrecondition, Unavailable
from pachlet.worker import environments, interpreters
from pachlet.worker.environments import make_environment
from pachlet.worker.installing import INSTALLS, Installer, Stopped, logged
from pachlet.worker.interpreters import Interpreter, find_interpreter, known_interpreter
from tests.acceptance.words import ended, last_job, pfs_input, put, shell

INSTALL = "RUN pip install --no-cache-dir --require-hashes -r"
WHEEL = "coins-1.0-py3-none-any.whl"


def make_wheel(folder: Path) -> str:
    """Write a wheel with one module and return its hash."""
    files = {
        "coins.py": "NAME = 'coins'\n",
        "coins-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: coins\nVersion: 1.0\n",
        "coins-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={record(text)},{len(text)}" for name, text in files.items()]
    files["coins-1.0.dist-info/RECORD"] = "\n".join([*lines, "coins-1.0.dist-info/RECORD,,"])
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return hashlib.sha256((folder / WHEEL).read_bytes()).hexdigest()


def record(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    digest = make_wheel(tmp_path)
    path = tmp_path / "requirements.txt"
    path.write_text(f"--no-index\n--find-links {tmp_path.as_uri()}\ncoins==1.0 --hash=sha256:{digest}\n")
    return path


def test_an_environment_has_what_is_pinned_and_is_made_once(tmp_path, requirements):
    said: list[str] = []
    made = make_environment("3.11", [requirements], tmp_path / "envs", said.append)
    assert made.packages == ("coins==1.0",)
    assert made.interpreter.version.startswith("3.11.")
    assert len(said) == 2
    python = made.folder / "bin" / "python"
    command = [python, "-I", "-c", "import coins; print(coins.NAME, coins.__cached__)"]
    name, cached = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert name == "coins"
    assert Path(cached).is_file()  # compiled when it was made

    assert make_environment("3.11", [requirements], tmp_path / "envs", said.append) == made
    assert len(said) == 2


def test_other_requirements_get_another_environment(tmp_path, requirements):
    with_coins = make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    bare = make_environment("3.11", [], tmp_path / "envs", lambda line: None)
    assert bare.packages == ()
    assert bare.folder != with_coins.folder
    assert bare.digest != with_coins.digest


def test_an_environment_that_was_not_finished_is_made_anew(tmp_path, requirements):
    made = make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    (made.folder / "pachlet-environment.json").unlink()
    (made.folder / "half").touch()
    make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    assert not (made.folder / "half").exists()


def fake_uv(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script stand in for uv."""
    uv = folder / "uv"
    uv.write_text(script)
    uv.chmod(0o755)
    monkeypatch.setenv("HERE", str(folder))
    monkeypatch.setattr(environments, "find_uv", lambda: str(uv))


GATED_UV = """#!/bin/sh
# Makes folders as uv does; the first installation waits at a gate, and then writes.
for last; do :; done
case "$2 $3" in
  venv*) mkdir "$last" || { echo "A directory already exists at: $last" >&2; exit 2; } ;;
  "pip install")
    if mkdir "$HERE/begun"; then
      exec 9> "$HERE/ready"  # open for as long as this runs
      echo begun >&9
      read line < "$HERE/gate"
      touch "${5%/bin/python}/late"
    fi ;;
  "pip list") echo "[]" ;;
esac
"""
SERVER = """
import sys
from pathlib import Path
from pachlet.worker import environments, installing
environments.find_uv = lambda: sys.argv[1]
if sys.argv[3] == "orphaned":
    installing.with_us = list
environments.make_environment("3.11", [Path(sys.argv[4])], Path(sys.argv[2]), print)
"""


@pytest.mark.parametrize("fate", ["ends with it", "orphaned"])
def test_a_server_killed_while_it_installs_spoils_nothing(tmp_path, requirements, monkeypatch, fate):
    if fate == "ends with it" and not shutil.which("setpriv"):
        pytest.skip("there is no setpriv, so uv goes on as an orphan")
    uv, envs = tmp_path / "uv", tmp_path / "envs"
    fake_uv(tmp_path, GATED_UV, monkeypatch)
    os.mkfifo(tmp_path / "ready")
    os.mkfifo(tmp_path / "gate")
    server = subprocess.Popen([sys.executable, "-c", SERVER, uv, envs, fate, requirements])
    with (tmp_path / "ready").open() as ready:
        assert ready.readline() == "begun\n"
        server.kill()
        server.wait()
        if fate == "orphaned":
            (lock,) = envs.glob("*.lock")
            with lock.open() as file, pytest.raises(BlockingIOError):  # it has the dead server's lock
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (tmp_path / "gate").write_text("go on\n")
        assert ready.read() == ""  # until it is gone
    made = make_environment("3.11", [requirements], envs, lambda line: None)
    assert not (made.folder / "late").exists()


def test_an_installation_that_is_killed_is_no_fault_of_the_pins(tmp_path, requirements, monkeypatch):
    fake_uv(tmp_path, "#!/bin/sh\nkill -9 $$\n", monkeypatch)
    with pytest.raises(Unavailable, match="uv venv --python was ended by signal 9"):
        make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)


def test_a_hash_that_does_not_match_is_told_in_uvs_words(tmp_path, requirements):
    text = requirements.read_text()
    requirements.write_text(text[: text.index("sha256:")] + "sha256:" + "0" * 64 + "\n")
    with pytest.raises(FailedPrecondition, match=r"(?s)uv pip install failed:.*[Hh]ash") as refused:
        make_environment("3.11", [requirements], tmp_path / "envs", lambda line: None)
    assert "requirements.txt" in refused.value.hint


def test_an_index_out_of_reach_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"--index-url http://127.0.0.1:1/simple\ncoins==1.0 --hash=sha256:{'0' * 64}\n")
    pauses: list[float] = []
    said: list[str] = []
    with pytest.raises(Unavailable, match=r"(?s)uv pip install failed:.*\(tried 4 times\)") as refused:
        make_environment("3.11", [requirements], tmp_path / "envs", said.append, Installer(pauses.append))
    assert "package index" in refused.value.hint
    assert pauses == [2.0, 8.0, 20.0]
    assert said[-1].startswith("the network failed, and is tried again in 20 s: uv pip install failed: ")


FLAKY_UV = """#!/bin/sh
# The network fails twice.
for last; do :; done
case "$2 $3" in
  venv*) mkdir "$last" ;;
  "pip install")
    echo try >> "$HERE/tries"
    test $(wc -l < "$HERE/tries") = 3 || { echo "error: Failed to fetch: it" >&2; exit 1; } ;;
  "pip list") echo "[]" ;;
esac
"""


def test_what_the_network_did_not_let_through_is_tried_again(tmp_path, requirements, monkeypatch):
    fake_uv(tmp_path, FLAKY_UV, monkeypatch)
    pauses: list[float] = []
    made = make_environment("3.11", [requirements], tmp_path / "envs", print, Installer(pauses.append))
    assert (made.packages, pauses) == ((), [2.0, 8.0])


STUCK_UV = """#!/bin/sh
# An installation that does not come to an end, with a process of its own.
for last; do :; done
case "$2 $3" in
  venv*) mkdir "$last" ;;
  "pip install")
    exec 9> "$HERE/ready"  # open until both are gone
    sleep 1000 &
    echo begun >&9
    wait ;;
esac
"""


def test_an_installer_that_is_halted_ends_with_all_its_processes(tmp_path, requirements, monkeypatch):
    fake_uv(tmp_path, STUCK_UV, monkeypatch)
    os.mkfifo(tmp_path / "ready")
    installer, envs = Installer(), tmp_path / "envs"
    with ThreadPoolExecutor(2) as threads:
        works = [
            threads.submit(make_environment, "3.11", [requirements], envs, print, installer) for _ in "12"
        ]
        with (tmp_path / "ready").open() as ready:
            assert ready.readline() == "begun\n"
            installer.halt()
            assert ready.read() == ""
        for work in works:  # also the one that waits for the other
            with pytest.raises(Stopped):
                work.result()
    with pytest.raises(Stopped):
        make_environment("3.11", [requirements], envs, print, installer)


def make_image_of_coins(code: Path) -> None:
    (code / "images" / "coins").mkdir(parents=True)
    lines = ("FROM python:3.11-slim", "COPY requirements.txt /opt/", f"{INSTALL} /opt/requirements.txt\n")
    (code / "images" / "coins" / "Dockerfile").write_text("\n".join(lines))


def test_a_server_that_stops_ends_what_it_installs_and_its_job_goes_on_later(
    tmp_path, requirements, monkeypatch, caplog
):
    make_image_of_coins(tmp_path)
    os.mkfifo(tmp_path / "ready")

    def serve():
        return testing.server(tmp_path / "data", code=tmp_path, envs=tmp_path / "envs")

    with monkeypatch.context() as stuck:
        fake_uv(tmp_path, STUCK_UV, stuck)
        with serve() as server, Connection(server.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", {"/a": "1"})
            spec = shell(
                "p", "python -c 'import coins'", pfs_input("in"), transform={"image": "pachlet/coins"}
            )
            pipelines.create_pipeline(connection, spec)
            ready = (tmp_path / "ready").open()
            assert ready.readline() == "begun\n"
    with ready:
        assert ready.read() == ""
    with serve() as server, Connection(server.address) as connection:
        assert ended(last_job(connection, "p")) == ("SUCCESS", 1, 0, 0, 1)
    told = [each.getMessage() for each in caplog.records if each.name == INSTALLS]
    assert (
        "image pachlet/coins has no environment: the installation was ended, because the server stops" in told
    )
    assert told[-2] == "image pachlet/coins: installing 1 pinned requirements"
    assert told[-1].startswith("image pachlet/coins has its environment, made in ")


def test_a_spout_is_not_called_crashing_because_its_installation_ended_with_the_server(
    tmp_path, requirements, monkeypatch
):
    make_image_of_coins(tmp_path)
    os.mkfifo(tmp_path / "ready")
    fake_uv(tmp_path, STUCK_UV, monkeypatch)
    with (
        testing.server(tmp_path / "data", code=tmp_path, envs=tmp_path / "envs") as server,
        Connection(server.address) as connection,
    ):
        pipelines.create_pipeline(
            connection, shell("s", "sleep 600", spout={}, transform={"image": "pachlet/coins"})
        )
        with (tmp_path / "ready").open() as ready:
            assert ready.readline() == "begun\n"
        before = states(tmp_path / "data")
    assert states(tmp_path / "data") == before


def states(data_dir: Path) -> list[tuple[str, str]]:
    """Return the state and the reason of each pipeline."""
    with contextlib.closing(sqlite3.connect(data_dir / "pachlet.db")) as database:
        return database.execute("SELECT state, reason FROM pipelines").fetchall()


def test_the_servers_log_has_what_an_installation_says_and_nothing_of_what_is_there(caplog):
    said: list[str] = []
    with caplog.at_level("INFO", INSTALLS):
        with logged("a", "environment", said.append):
            pass
        with logged("b", "image in podman", said.append) as tell:
            tell("building it")
        with pytest.raises(Unavailable), logged("c", "environment", said.append):
            raise Unavailable("no index")
    assert said == ["building it"]
    told = [re.sub(r"[0-9.]+ s$", "1 s", each.getMessage()) for each in caplog.records]
    assert told == [
        "image b: building it",
        "image b has its image in podman, made in 1 s",
        "image c has no environment: no index",
    ]


def test_an_interpreter_is_one_that_answers():
    found = find_interpreter("3.11")
    said = subprocess.run([found.executable, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] == found.version
    assert not (found.prefix / "pyvenv.cfg").exists()


def test_a_python_that_does_not_exist_is_told_with_a_next_step():
    with pytest.raises(Unavailable, match=r"there is no Python 3\.99") as refused:
        find_interpreter("3.99")
    assert "python3.99" in refused.value.hint


def test_two_who_ask_for_an_interpreter_at_once_both_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, rename, both = tmp_path / "python9.8", Path.rename, threading.Barrier(2, timeout=30)
    program.write_text("one")
    found = Interpreter(program, tmp_path, "9.8.1", "any", "CPython")
    monkeypatch.setattr(interpreters, "find_interpreter", lambda minor, install: found)

    def rename_together(path: Path, target: Path) -> Path:
        both.wait()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_together)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: known_interpreter("9.8", tmp_path / "envs"), "12")) == [
            found,
            found,
        ]
    assert [each.name for each in (tmp_path / "envs").iterdir()] == ["python9.8.json"]
    known_interpreter.cache_clear()


def test_who_answered_is_remembered_until_that_program_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, asked = tmp_path / "python9.9", []

    def find(minor: str, install: object) -> Interpreter:
        asked.append(minor)
        return Interpreter(program, tmp_path, f"9.9.{len(asked)}", "any", "CPython")

    monkeypatch.setattr(interpreters, "find_interpreter", find)

    def version() -> str:
        known_interpreter.cache_clear()  # as in a new process
        return known_interpreter("9.9", tmp_path / "envs").version

    program.write_text("one")
    assert [version(), version()] == ["9.9.1", "9.9.1"]
    program.write_text("another")
    assert [version(), version()] == ["9.9.2", "9.9.2"]
    (tmp_path / "envs" / "python9.9.json").write_text("{")
    assert version() == "9.9.3"
    program.unlink()
    with pytest.raises(FileNotFoundError):  # asked again: whoever answers has a program
        version()
    known_interpreter.cache_clear()
