"""A datum outside of its server: the folder with its inputs, code and environment, the step mended there, a shell in
its place, one datum of a spec that is no pipeline yet; and all of it with a server that knows Pachyderm's API only."""

from __future__ import annotations

import io
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.names import commit
from pachlet.errors import Unimplemented
from pachlet.testing import RunningServer
from tests.acceptance.server_process import START
from tests.acceptance.words import create, last_job, pfs_input, put, shell, tree

SECRET = {"name": "word", "key": "it", "env_var": "WORD"}
STEP = """
import pathlib
for path in pathlib.Path("/pfs/in").iterdir():
    number = int(path.read_text())
    pathlib.Path("/pfs/out", path.name).write_text(str(number + 1))
"""
ALL = (
    "cd /pfs; (find . -type f -printf '%p %s\\n' | grep -v ^./out | sort; env | sort) > out/$(basename $one)"
)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of code with one image."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "images" / "plus").mkdir(parents=True)
    dockerfile = "FROM python:3.11-slim-bookworm\nWORKDIR /app\nCOPY plus.py ./\n"
    (folder / "images" / "plus" / "Dockerfile").write_text(dockerfile)
    (folder / "plus.py").write_text(STEP)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, code: Path) -> Iterator[RunningServer]:
    """A server with two pipelines: one fails on a file, one tells all that it is given."""
    with testing.server(tmp_path_factory.mktemp("data"), code=code) as running:
        with Connection(running.address) as connection:
            repos.create_repo(connection, "in")
            put(connection, "in@master", {"/a": "1", "/b": "two", "/sub/c": "3"})
            transform = {"image": "pachlet/plus", "cmd": ["python", "plus.py"]}
            spec = {"pipeline": {"name": "plus"}, "transform": transform, "input": pfs_input("in", "/*")}
            create(connection, {**spec, "datum_tries": 1})
            parts = [
                pfs_input("in", "/(*)", name="one", join_on="$1"),
                pfs_input("in", "/(*)", name="two", join_on="$1", empty_files=True),
            ]
            create(connection, shell("all", ALL, {"join": parts}, transform={"env": {"MORE": "a b"}}))
        yield running


@pytest.fixture
def connection(server: RunningServer) -> Iterator[Connection]:
    with Connection(server.address) as connection:
        yield connection


def pachlet(server: RunningServer, *words: str) -> tuple[int, str, str]:
    """Run a command; return the exit status and what it says on both streams."""
    out, err = io.StringIO(), io.StringIO()
    environ = {"PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}
    status = main.run(Session(environ, out=out, err=err, program="pachlet"), list(words))
    assert "Traceback" not in err.getvalue()
    return status, out.getvalue(), err.getvalue()


def job_of(connection: Connection, pipeline: str) -> str:
    return f"{pipeline}@{last_job(connection, pipeline).job.id}"


def test_failed_datum_is_mended_in_its_folder_and_nothing_is_committed(
    server: RunningServer, connection: Connection, code: Path, tmp_path: Path
) -> None:
    job, folder = job_of(connection, "plus"), tmp_path / "bench"
    (code / "plus.py").write_text("raise SystemExit('other code by now')")
    before = everything(connection)
    status, out, err = pachlet(server, "debug", "datum", job, "/b", "--run", "--keep", str(folder))
    assert status == 1
    assert "invalid literal for int() with base 10: 'two'" in out
    assert "of default/plus, which ended as failed: exit status 1" in err
    assert err.endswith(": exit status 1\n")
    step = folder / "code" / "app" / "plus.py"
    step.write_text(step.read_text().replace("int(path.read_text())", "len(path.read_text())"))
    status, out, err = pachlet(server, "debug", "datum", job, "/b", "--run", "--keep", str(folder))
    assert (status, out) == (0, "")
    assert err.endswith("wrote /pfs/out/b\n")
    assert (folder / "pfs" / "out" / "b").read_text() == "4"
    assert (folder / "pfs" / "in" / "b").read_text() == "two"
    status, out, err = pachlet(server, "debug", "datum", job, "/a", "--run", "--keep", str(folder))
    assert (status, out) == (1, "")
    assert re.match(
        rf"{folder} holds datum [0-9a-f]{{12}} of default/plus, not datum [0-9a-f]{{12}} of default/p", err
    )
    held = json.loads((folder / "datum.json").read_text())["datum"]
    assert pachlet(server, "debug", "datum", job, held[:20], "--run", "--keep", str(folder))[0] == 0
    status, out, err = pachlet(server, "debug", "datum", job, "/b", "--run", "--code", str(code))
    assert status == 1
    assert "other code by now" in out
    assert "note: this is not what ran: pachlet/plus was sha256:" in err
    assert everything(connection) == before


@pytest.mark.parametrize("is_pachlet", [True, False], ids=["pachlet", "pachyderm"])
def test_step_is_given_what_it_was_given_there(
    server: RunningServer,
    connection: Connection,
    code: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_pachlet: bool,
) -> None:
    if not is_pachlet:
        forget_pachlet(monkeypatch)
    job, there = job_of(connection, "all"), tree(connection, "all@master")
    for name in ("a", "sub"):
        folder = tmp_path / name
        status, _, err = pachlet(server, "debug", "datum", job, f"/{name}", "--run", "--keep", str(folder))
        assert (status, err.splitlines()[-1]) == (0, f"wrote /pfs/out/{name}")
        assert (folder / "pfs" / "out" / name).read_text() == there[f"/{name}"]
    (code / "plus.py").write_text(STEP)
    job = job_of(connection, "plus")
    status, out, _ = pachlet(server, "debug", "datum", job, "/b", "--run", "--code", str(code))
    assert (status, "invalid literal for int()" in out) == (1, True)


def test_shell_runs_where_the_step_would_and_can_change_no_input(
    server: RunningServer, connection: Connection
) -> None:
    command = [sys.executable, "-c", START, "debug", "datum", job_of(connection, "all"), "/a"]
    environ = {**os.environ, "PACHD_ADDRESS": server.address, "PACH_CONFIG": "/nonexistent"}
    typed = "cat $one; touch /pfs/one/new; echo it > /pfs/out/x; cat /pfs/out/x; exit 7\n"
    done = subprocess.run(command, env=environ, input=typed, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (7, "1it\n")
    assert "Read-only file system" in done.stderr
    with Typist(command, environ) as typist:
        typist.read("# ")
        typist.type("sh -c \"echo beg''un; exec sleep 60\"\n")  # once it says so, Ctrl-C reaches it
        typist.read("begun")
        typist.type("\x03")
        typist.read("# ")
        typist.type("echo $((40 + 2)); exit 5\n")
        typist.read("42")
        assert typist.process.wait(30) == 5


class Typist:
    """Somebody at a terminal."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self._terminal, theirs = os.openpty()
        environ = {**environ, "PS1": "# "}
        self.process = subprocess.Popen(
            command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def read(self, text: str) -> None:
        """Read until a text stands there."""
        said = ""
        while text not in said:
            assert select.select([self._terminal], [], [], 30)[0], said
            said += os.read(self._terminal, 1000).decode(errors="replace")


def test_spec_is_tried_before_there_is_a_pipeline(
    server: RunningServer, connection: Connection, tmp_path: Path
) -> None:
    before = everything(connection)
    spec = shell("new", "echo $in_COMMIT >&2; cat $in; cp $in /pfs/out/", pfs_input("in", "/*"))
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec))
    head = connection.call(
        "pfs_v2.API", "InspectCommit", {"commit": commit("default", "in@master")}
    ).commit.id
    status, out, err = pachlet(server, "try", str(file), "--datum", "/b")
    assert (status, sorted(out.split())) == (0, sorted([head, "two"]))
    assert err.endswith("wrote /pfs/out/b\n")
    status, out, err = pachlet(server, "try", str(file), "--datum", "/none")
    assert (status, out) == (1, "")
    assert "default/new would have no datum with /none now" in err
    # Beside a folder that every datum has, it is the datum's own file that counts.
    both = {"cross": [pfs_input("in", "/*"), {"pfs": {"repo": "in", "glob": "/", "name": "all"}}]}
    file.write_text(json.dumps({**spec, "input": both}))
    status, _, err = pachlet(server, "try", str(file), "--datum", "/b")
    assert err.endswith("wrote /pfs/out/b\n")
    status, _, err = pachlet(server, "try", str(file), "--datum", "/none")
    assert (status, "would have no datum with /none now" in err) == (1, True)
    file.write_text(json.dumps({**spec, "transform": {**spec["transform"], "secrets": [SECRET]}}))
    status, out, err = pachlet(server, "try", str(file))
    assert "the step lacks WORD (--env WORD=VALUE)" in err
    status, out, err = pachlet(server, "try", str(file), "--env", "WORD=it")
    assert "lacks" not in err
    assert everything(connection) == before


def everything(connection: Connection) -> list[str]:
    """Return all commits and pipelines of a server."""
    sets = connection.call("pfs_v2.API", "ListCommitSet", {})
    found = [commit.commit.id for each in sets for commit in each.commits]
    return sorted([*found, *(each.pipeline.name for each in pipelines.list_pipeline(connection))])


def forget_pachlet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers know Pachyderm's API only, and no record of ours."""
    call = Connection.call

    def as_pachyderm(self: Connection, service: str, *rest: Any, **more: Any) -> Any:
        if service.startswith("pachlet."):
            raise Unimplemented(f"unknown service {service}")
        return call(self, service, *rest, **more)

    monkeypatch.setattr(Connection, "call", as_pachyderm)
    monkeypatch.setattr("pachlet.remote.datum.datum_record", lambda connection, info: {})
