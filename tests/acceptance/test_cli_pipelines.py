"""Pipelines from the command line: what an editor, a template, a picture and a wait come to."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pachlet.client.connection import Connection
from pachlet.client.pipelines import create_pipeline
from pachlet.errors import PachletError
from pachlet.testing import RunningServer
from tests.acceptance.typed import Terminal, Typed

COPY = {
    "pipeline": {"name": "copy"},
    "input": {"pfs": {"repo": "images", "glob": "/*"}},
    "transform": {"cmd": ["sh"], "stdin": ["cp -r /pfs/images/. /pfs/out"]},
}


Type = Callable[..., Typed]


@pytest.fixture
def terminal(server: RunningServer, tmp_path: Path) -> Terminal:
    return Terminal(server.address, tmp_path)


@pytest.fixture
def run(terminal: Terminal) -> Type:
    return terminal.run


@pytest.fixture
def ok(terminal: Terminal) -> Type:
    return terminal.ok


def editor(tmp_path: Path, code: str) -> str:
    """Return an editor that runs a line of Python on the text `t` of its file."""
    script = tmp_path / "editor.py"
    script.write_text(
        f"import sys, pathlib\np = pathlib.Path(sys.argv[1])\nt = p.read_text()\n{code}\np.write_text(t)\n"
    )
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"


def test_create_waits_and_says_how_it_went(ok: Type, run: Type) -> None:
    ok("create", "repo", "images")
    ok("put", "file", "images@master:/a", given="1")
    assert (
        ok("create", "pipeline", "--wait", given=json.dumps(COPY)).out
        == "copy: processed 1, skipped 0, failed 0\n"
    )
    broken = {**COPY, "transform": {"cmd": ["false"]}, "datum_tries": 1}
    done = run("update", "pipeline", "--reprocess", "--wait", given=json.dumps(broken))
    assert done.status == 1
    assert "copy: processed 0, skipped 0, failed 1" in done.out


def test_a_template_makes_a_pipeline(ok: Type, run: Type, tmp_path: Path) -> None:
    template = tmp_path / "t.jsonnet"
    template.write_text('function(name) {pipeline: {name: name}, transform: {cmd: ["true"]}}')
    ok("create", "pipeline", "--jsonnet", str(template), "--arg", "name=made")
    assert json.loads(ok("list", "pipeline", "made", "-s").out)["pipeline"]["name"] == "made"
    for words in (("render",), ("render", "template")):
        assert json.loads(ok(*words, str(template), "--arg", "name=x").out)["pipeline"] == {"name": "x"}
    assert run("create", "pipeline", "--arg", "name=x", given="{}").status == 2


def test_what_is_edited_is_updated_and_what_is_broken_is_kept(ok: Type, run: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("create", "pipeline", given=json.dumps(COPY))
    ok("edit", "pipeline", "copy", "--editor", editor(tmp_path, "t = t.replace('cp -r', 'cp -R')"))
    assert "cp -R" in ok("list", "pipeline", "copy", "-s").out
    done = run("edit", "pipeline", "copy", "--editor", editor(tmp_path, "t = t.replace('stdin', 'stdn')"))
    assert done.status == 1
    assert 'did you mean "stdin"?' in done.err
    kept = Path(done.err.split("what you wrote is kept in ")[1].split(";")[0])
    assert "stdn" in kept.read_text()
    kept.unlink()
    done = run("edit", "pipeline", "copy", "--editor", editor(tmp_path, "sys.exit(3)"))
    assert "ended with status 3" in done.err
    Path(done.err.strip().rpartition("the text is in ")[2]).unlink()


def test_the_picture_shows_every_pipeline(ok: Type, tmp_path: Path) -> None:
    ok("create", "repo", "images")
    ok("create", "pipeline", given=json.dumps(COPY))
    after = {**COPY, "pipeline": {"name": "after"}, "input": {"pfs": {"repo": "copy", "glob": "/"}}}
    ok("create", "pipeline", given=json.dumps(after))
    file = tmp_path / "pipelines.svg"
    ok("draw", "pipeline", "--svg", str(file))
    for picture in (file.read_text(), ok("draw", "pipeline", "-o", "svg").out):
        named = {
            each.text for each in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
        }
        assert {"images", "copy", "after"} <= named


def test_every_mistake_is_told_before_anything_is_created(ok: Type, run: Type, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    good, bad = (
        "pipeline: {name: good}\ntransform: {cmd: ['true']}\n",
        "pipeline: {name: bad}\ntransform: {cmd: ls}\n",
    )
    file.write_text(f"{good}---\n{bad}standby: true\n")
    done = run("create", "pipeline", "-f", str(file))
    assert done.status == 1
    assert f"{file}:5:18: transform.cmd: found" in done.err
    assert f"{file}:6:1: found the unknown field" in done.err
    assert f"lint --fix {file}` mends" in done.err
    assert len(ok("list", "pipeline").out.splitlines()) == 1
    ok("lint", "--fix", str(file))
    ok("create", "pipeline", "-f", str(file))
    assert len(ok("list", "pipeline").out.splitlines()) == 3


def test_what_pachyderm_takes_is_warned_of_and_created(ok: Type) -> None:
    ok("create", "repo", "a")
    ok("create", "repo", "b")
    parts = [{"pfs": {"repo": name, "glob": "/*"}} for name in "ab"]
    spec = {"pipeline": {"name": "j"}, "transform": {"cmd": ["true"]}, "input": {"join": parts}}
    done = ok("create", "pipeline", given=json.dumps(spec))
    assert done.out == ""
    assert done.err.count("warning: standard input:1:") == 2


def test_a_pipeline_that_reads_what_it_writes_is_refused_by_both(run: Type, server: RunningServer) -> None:
    reads = {"pfs": {"repo": "snake", "glob": "/"}}
    spec = {"pipeline": {"name": "snake"}, "transform": {"cmd": ["true"]}, "input": reads}
    assert "that the pipeline does not write itself" in run("create", "pipeline", given=json.dumps(spec)).err
    with Connection(server.address) as connection, pytest.raises(PachletError):
        create_pipeline(connection, spec)


def test_check_status_lists_alerts(ok: Type) -> None:
    ok("create", "pipeline", given=json.dumps({"pipeline": {"name": "p"}, "transform": {"cmd": ["true"]}}))
    done = ok("check", "status")
    assert done.out.startswith("PROJECT PIPELINE ALERTS\n")
    assert done.err.endswith("`pachctl list pipeline` says how each is, and why\n")
    assert ok("check", "status", "-A", "--raw").err == ""
