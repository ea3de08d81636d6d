"""What differs between two versions of a result: data, parameters, spec, code and packages, the nearest cause first."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session
from pachlet.client import repos
from pachlet.client.authorship import author
from pachlet.client.connection import Connection
from pachlet.client.lineage.blame import Blame, blame
from pachlet.client.put_file import Nothing, from_bytes, put_file
from pachlet.client.watch import head_of
from pachlet.errors import NotFound, Unimplemented
from tests.acceptance.words import create, job, pfs_input, put, put_id

Type = Callable[..., str]
DOCKERFILE = "FROM python:3.11-slim-bookworm\nCOPY step.py /app/step.py\nENV PFS_ROOT=/pfs\n"
STEP = """import json, os, pathlib
text = "".join(sorted(each.read_text() for each in pathlib.Path("/pfs/data").iterdir()))
params = json.loads(pathlib.Path("/pfs/params/svm.json").read_text())
pathlib.Path("/pfs/out/model").write_text(f"{text} {params} {os.environ['SCALE']} LINE")
"""


class Elsewhere(Connection):
    """A connection to a Pachyderm that is not pachlet."""

    def call(self, service: str, *rest: Any, **more: Any) -> Any:
        if service.startswith("pachlet."):
            raise Unimplemented(f"unknown service {service}")
        return super().call(service, *rest, **more)


def train(scale: str) -> dict[str, Any]:
    return {
        "pipeline": {"name": "train"},
        "transform": {"image": "pachlet/train", "cmd": ["python", "/app/step.py"], "env": {"SCALE": scale}},
        "input": {"cross": [pfs_input("data", "/"), pfs_input("params", "/")]},
    }


PREDICT = {
    "pipeline": {"name": "predict"},
    "transform": {"image": "alpine", "cmd": ["sh"], "stdin": ["cp /pfs/train/model /pfs/out/forecast"]},
    "input": pfs_input("train", "/"),
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Connection, dict[str, str]]]:
    """A server, and the commits of `predict` after each change, by what was changed."""
    code = tmp_path_factory.mktemp("code")
    (code / "images" / "train").mkdir(parents=True)
    (code / "images" / "train" / "Dockerfile").write_text(DOCKERFILE)
    (code / "step.py").write_text(STEP.replace("LINE", "old"))
    data = tmp_path_factory.mktemp("data")
    with testing.server(data, code=code) as running, Connection(running.address) as connection:
        for name in ("data", "params"):
            repos.create_repo(connection, name)
        put(connection, "data@master", {"/a": "a", "/b": "b"})
        put(connection, "params@master", {"/svm.json": '{"C": 1, "kernel": {"name": "rbf"}}'})
        create(connection, train("1"))
        create(connection, PREDICT)
        ids = {"first": head_of(connection, "predict@master")}

        def done(id: str) -> str:
            job(connection, "predict", id)
            return id

        puts = [from_bytes("/a", b"A"), from_bytes("/c", b"c"), Nothing("/b")]
        put_file(connection, "data@master", puts, message="corrected")
        ids["data"] = done(head_of(connection, "data@master"))
        new = {"/svm.json": '{"C": 2, "kernel": {"name": "rbf", "gamma": 0.5}}'}
        ids["parameters"] = done(put_id(connection, "params@master", new))
        create(connection, train("10"), update=True, reprocess=True)
        ids["spec"] = done(head_of(connection, "train@master"))
        (code / "step.py").write_text(STEP.replace("LINE", "new"))
        create(connection, train("10"), update=True, reprocess=True)
        ids["code"] = done(head_of(connection, "train@master"))
        yield connection, ids


def told(found: Blame) -> set[tuple[int, str, str, str]]:
    return {(each.depth, each.where, each.kind, each.what) for each in found.causes}


@pytest.mark.parametrize("kind", [Connection, Elsewhere])
def test_each_change_is_the_one_that_is_named(
    versions: tuple[Connection, dict[str, str]], kind: type[Connection]
) -> None:
    names = versions[1]
    with kind(str(versions[0].address)) as connection:

        def between(before: str, after: str) -> Blame:
            places = (f"predict@{names[each]}:/forecast" for each in (before, after))
            return blame(connection, *places)

        by_data = between("first", "data")
        assert told(by_data) == {(2, "data", "data", path) for path in ("/a", "/b", "/c")}
        assert [(each.before == "-", each.after == "-") for each in by_data.causes] == [
            (False, False),
            (False, True),
            (True, False),
        ]
        assert {each.by for each in by_data.causes} == {f'{author()} "corrected"'}

        by_parameters = between("data", "parameters")
        assert [(each.kind, each.what, each.before, each.after) for each in by_parameters.causes][1:] == [
            ("parameter", "/svm.json C", "1", "2"),
            ("parameter", "/svm.json kernel.gamma", "-", "0.5"),
        ]

        (by_spec,) = between("parameters", "spec").causes
        assert (by_spec.depth, by_spec.where, by_spec.kind) == (1, "train", "spec")
        assert (by_spec.what, by_spec.before, by_spec.after) == ("transform.env.SCALE", "1", "10")

        by_code = between("spec", "code").causes
        assert [(each.where, each.kind) for each in by_code] == [("train", "spec"), ("train", "code")]
        assert by_code[1].before != by_code[1].after
        assert by_code[1].before.startswith("pachlet/train@sha256:")

        of_all = told(between("first", "code"))
        assert {kind for _, _, kind, _ in of_all} == {"data", "parameter", "spec", "code"}
        assert between("code", "code").causes == ()


def test_the_nearest_cause_is_first_and_the_answer_is_text_or_data(
    versions: tuple[Connection, dict[str, str]], tmp_path: Path
) -> None:
    connection, ids = versions

    def typed(*words: str, status: int = 0) -> str:
        out, err = io.StringIO(), io.StringIO()
        session = Session({"PACHD_ADDRESS": str(connection.address)}, out=out, err=err)
        assert main.run(session, ["blame", *words]) == status, err.getvalue()
        session.close()
        return out.getvalue() or err.getvalue()

    both = f"{ids['first']}..{ids['code']}"
    lines = typed(f"predict@{both}:/forecast").splitlines()
    assert lines[0].endswith(":/forecast: different")
    assert [line for line in lines if line.endswith(":")] == ["train:", "data:", "params:"]
    assert "  spec      transform.env.SCALE: 1 -> 10, by " + author() in lines
    assert any(line.startswith("  data      /b: removed (was ") for line in lines)
    assert "  parameter /svm.json C: 1 -> 2" in lines
    found = json.loads(typed(f"predict@{ids['first']}", f"predict@{ids['code']}", "-o", "json"))
    assert [each["depth"] for each in found["causes"]] == sorted(each["depth"] for each in found["causes"])
    assert "is no pair of places" in typed("predict@master", status=2)
    with pytest.raises(NotFound):
        blame(connection, f"predict@{ids['first']}:/none", "predict@master:/none")
