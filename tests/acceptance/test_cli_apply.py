"""Editing one line of one step redoes that step's datums, and downstream only what came out differently."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.lineage.asking import trace
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.watch import wait_until_idle

STEP = """
import os, pathlib
root = pathlib.Path(os.environ["PFS_ROOT"])
for path in (root / "in").rglob("*"):
    if path.is_file():
        (root / "out" / path.name).write_text(path.read_text().{change})
"""


def write_stage(code: Path, name: str, change: str) -> None:
    image = code / "images" / name
    image.mkdir(parents=True, exist_ok=True)
    (image / "Dockerfile").write_text(
        "ARG BASE=python:3.11-slim-bookworm\nFROM ${BASE}\n"
        f"COPY steps/{name}.py /app/{name}.py\nWORKDIR /app\nENV PFS_ROOT=/pfs\n"
    )
    (code / "steps").mkdir(exist_ok=True)
    (code / "steps" / f"{name}.py").write_text(STEP.format(change=change))


def write_spec(code: Path, name: str, repo: str) -> None:
    spec = {
        "pipeline": {"name": name},
        "transform": {"image": f"pachlet/{name}", "cmd": ["python", f"{name}.py"]},
        "input": {"pfs": {"repo": repo, "glob": "/*", "name": "in"}},
    }
    (code / "pipelines").mkdir(exist_ok=True)
    (code / "pipelines" / f"{name}.json").write_text(json.dumps(spec))


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    write_stage(folder, "first", "upper()")
    write_stage(folder, "second", "strip()")
    write_spec(folder, "first", "words")
    write_spec(folder, "second", "first")
    return folder


@pytest.fixture
def connection(code: Path, tmp_path: Path) -> Iterator[Connection]:
    with (
        testing.server(tmp_path / "data", code=code) as running,
        Connection(running.address) as connection,
    ):
        repos.create_repo(connection, "words")
        put_file(connection, "words@master", [from_bytes("/a", b"apple "), from_bytes("/b", b"BANANA ")])
        yield connection


def apply(connection: Connection, code: Path) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Run `pachlet apply`; return what it said and, per pipeline, how many datums its newest job did and skipped."""
    out = io.StringIO()
    session = Session({"PACHD_ADDRESS": str(connection.address)}, out=out, err=io.StringIO())
    status = main.run(session, ["apply", str(code / "pipelines"), "--code", str(code)])
    said = session.err.getvalue()  # type: ignore[attr-defined]
    assert (status, "transaction" in said) == (0, False), (
        said
    )  # several changes are one, of which nobody need know
    last = {each.pipeline: each for each in wait_until_idle(connection, ["default"]) if each.succeeded}
    return out.getvalue().splitlines(), {
        name: (each.processed, each.skipped) for name, each in sorted(last.items())
    }


def test_changed_line_redoes_its_stage_and_what_differs_downstream(
    connection: Connection, code: Path
) -> None:
    said, _ = apply(connection, code)
    assert said == ["first: created", "second: created"]
    assert get_bytes(connection, "second@master:/a") == b"APPLE"

    said, done = apply(connection, code)
    assert (said, done) == (["first: unchanged", "second: unchanged"], {})

    write_stage(code, "first", "upper().replace('APPLE', 'CHERRY')")  # /b comes out as before
    said, done = apply(connection, code)
    assert said == ["first: code changed (steps/first.py), reprocessing", "second: unchanged"]
    assert done == {"first": (2, 0), "second": (1, 1)}
    assert get_bytes(connection, "second@master:/a") == b"CHERRY"

    # Provenance tells what happened: /b was kept, since it would be made of the same bytes again.
    graphs = [trace(connection, f"second@master:{path}") for path in ("/a", "/b")]
    changed, kept = ({run.pipeline: run for run in graph.runs} for graph in graphs)
    assert changed["second"].job != kept["second"].job
    read = [graph.files_of(graph.runs_of(graph.root)[0])[0].hash for graph in graphs]
    assert read[0] != read[1]
    assert (changed["first"].version, kept["first"].version) == (2, 1)
    assert changed["first"].digest != kept["first"].digest


def test_line_changed_back_after_new_data_came_is_noticed(connection: Connection, code: Path) -> None:
    apply(connection, code)
    write_stage(code, "first", "lower()")
    put_file(connection, "words@master", [from_bytes("/c", b"Cherry ")])  # runs on the edited line
    wait_until_idle(connection, ["default"])
    write_stage(code, "first", "upper()")
    said, _ = apply(connection, code)
    assert said == ["first: 1 datum was made by other code, reprocessing", "second: unchanged"]
    assert get_bytes(connection, "second@master:/c") == b"CHERRY"
