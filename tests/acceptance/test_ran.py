"""What ran is recorded with each datum at the moment it runs, and shown by `inspect datum`."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import datums, repos
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from tests.acceptance.words import create, job, pfs_input, put_id

Show = Callable[[str], str]
DOCKERFILE = "FROM python:3.11-slim-bookworm\nCOPY step.py /app/step.py\nENV PFS_ROOT=/pfs NUMPY_SEED=7\n"
STEP = """import pathlib
for path in pathlib.Path("/pfs/in").iterdir():
    pathlib.Path("/pfs/out", path.name).touch()
"""
SPEC = {
    "pipeline": {"name": "mark"},
    "transform": {
        "image": "pachlet/mark:1",
        "cmd": ["python", "/app/step.py"],
        "env": {"PYTHONHASHSEED": "0", "TOKEN": "tell-nobody"},
    },
    "input": pfs_input("in"),
}


def git(code: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    done = subprocess.run(
        ["git", "-C", str(code), *identity, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    (folder / "images" / "mark").mkdir(parents=True)
    (folder / "images" / "mark" / "Dockerfile").write_text(DOCKERFILE)
    (folder / "step.py").write_text(STEP)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    return folder


@pytest.fixture(scope="module")
def connection(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    data = tmp_path_factory.mktemp("data")
    with testing.server(data, code=code) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        yield connection


@pytest.fixture
def show(connection: Connection) -> Show:
    """Type `inspect` and a few words; return what it printed."""

    def typed(words: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        session = Session({"PACHD_ADDRESS": str(connection.address)}, out=out, err=err)
        assert main.run(session, ["inspect", *words.split()]) == 0, err.getvalue()
        session.close()
        return out.getvalue()

    return typed


def recorded(connection: Connection, commit: str) -> dict[str, dict[str, Any]]:
    """Return the record of each datum of a job by the path of its file."""
    found = datums.list_datum(connection, f"mark@{commit}")
    return {each.data[0].file.path: datums.datum_record(connection, each) for each in found}


def test_a_datum_says_what_ran_and_a_tag_that_moved_meanwhile_shows_as_two_digests(
    connection: Connection, code: Path, show: Show
) -> None:
    put_id(connection, "in@master", {"/a": "a"})
    create(connection, SPEC)
    spec = inspect_commit(connection, "mark.spec@master").commit.id
    before = git(code, "rev-parse", "HEAD")
    (code / "step.py").write_text(STEP + "# the same tag, other code\n")
    second = put_id(connection, "in@master", {"/b": "b"})
    assert job(connection, "mark", second).data_processed == 1

    infos = {each.data[0].file.path: each for each in datums.list_datum(connection, f"mark@{second}")}
    old, new = (infos[path].image_id for path in ("/a", "/b"))
    assert old.startswith("pachlet/mark:1@sha256:")
    assert new.startswith("pachlet/mark:1@sha256:")
    assert old != new
    assert new.removeprefix("pachlet/mark:1") in show(f"datum mark@{second} {infos['/b'].datum.id}")

    record = recorded(connection, second)
    clean, dirty = (record[path]["image"]["provenance"] for path in ("/a", "/b"))
    assert (clean["git_commit"], clean["dirty"]) == (before, False)
    assert (dirty["git_commit"], dirty["dirty"]) == (before, True)
    assert (record["/b"]["version"], record["/b"]["spec_commit"]) == (1, spec)
    assert record["/b"]["cmd"] == SPEC["transform"]["cmd"]
    assert dirty["python_version"].startswith("3.11.")
    assert dirty["machine"]["cpu"]
    assert dirty["machine"]["cpus"] > 0


def test_values_of_variables_are_kept_for_seeds_alone(connection: Connection, show: Show) -> None:
    newest = put_id(connection, "in@master", {"/c": "c"})
    job(connection, "mark", newest)
    record = recorded(connection, newest)["/c"]
    facts = record["image"]["provenance"]
    assert facts["env"] == ["NUMPY_SEED", "PFS_ROOT", "PYTHONHASHSEED", "TOKEN"]
    assert facts["seeds"] == {"NUMPY_SEED": "7", "PYTHONHASHSEED": "0"}
    assert "tell-nobody" not in json.dumps(record)
    told = show(f"datum mark@{newest} {record['datum']}")
    assert "Seeds\tNUMPY_SEED=7 PYTHONHASHSEED=0\n" in told
    assert "Command\tpython /app/step.py\n" in told
    assert "that are not committed\n" in told


def test_the_packages_are_kept_once_with_a_digest_in_each_record(tmp_path: Path) -> None:
    """Of an image that has packages: the flowers', whose environment the suite has made already."""
    root = Path(__file__).parents[2]
    with testing.server(tmp_path, code=root) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put_id(connection, "in@master", {"/a": "1", "/b": "2"})
        transform = {"image": "pachlet/iris-train", "cmd": ["sh", "-c", "true"]}
        info = create(connection, {**SPEC, "transform": transform})
        found = list(datums.list_datum(connection, f"mark@{info.job.id}"))
        lists = set()
        for each in found:
            record = datums.datum_record(connection, each)
            text = get_bytes(connection, f"mark.meta@{info.job.id}:/meta/{each.datum.id}/packages")
            digest = hashlib.sha256(text).hexdigest()
            assert record["image"]["provenance"]["packages"] == f"sha256:{digest}"
            lists.add(text)
        assert len(found) == 2
    (packages,) = lists
    assert b"\nscikit-learn==" in packages
