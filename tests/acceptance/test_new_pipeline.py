"""`new pipeline` writes what passes lint and its own test, and really runs."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from pachlet import testing
from pachlet.cli import main
from pachlet.cli.session import Session


def typed(folder: Path, address: str, *words: str) -> tuple[int, str, str]:
    """Run a command; return its status, its output and what it said."""
    out, err = io.StringIO(), io.StringIO()
    environ = {"PACHD_ADDRESS": address, "PACH_CONFIG": str(folder / "config.json")}
    status = main.run(Session(environ, out=out, err=err, input=io.BytesIO(), program="pachlet"), list(words))
    return status, out.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", ["loud-letters", "2nd_Try", "class"])
def test_it_passes_lint_and_its_test(name: str, tmp_path: Path) -> None:
    status, out, err = typed(tmp_path, "", "new", "pipeline", name, "--code", str(tmp_path))
    assert (status, out.count("wrote ")) == (0, 4)
    assert len([line for line in err.splitlines() if line.startswith("  pachlet ")]) == 3
    assert typed(tmp_path, "", "lint", "--strict", str(tmp_path / "pipelines"))[0] == 0
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(test, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_it_runs(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data", code=tmp_path) as running:
        where = running.address
        assert (
            typed(tmp_path, where, "new", "pipeline", "loud", "--repo", "letters", "--code", str(tmp_path))[0]
            == 0
        )
        assert typed(tmp_path, where, "create", "repo", "letters")[0] == 0
        spec = str(tmp_path / "pipelines" / "loud.json")
        assert typed(tmp_path, where, "apply", spec, "--code", str(tmp_path))[0] == 0
        (tmp_path / "a.txt").write_text("hello\n")
        status, out, err = typed(
            tmp_path, where, "put", "file", "letters@master", "-f", str(tmp_path / "a.txt"), "--wait"
        )
        assert status == 0, err
        assert "loud: processed 1, skipped 0, failed 0" in out
        assert (
            typed(tmp_path, where, "get", "file", "loud@master:/a.txt", "-o", str(tmp_path / "b.txt"))[0] == 0
        )
        assert (tmp_path / "b.txt").read_text() == "HELLO\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    step = tmp_path / "steps" / "loud.py"
    step.parent.mkdir()
    step.write_text("mine\n")
    status, out, err = typed(tmp_path, "", "new", "pipeline", "loud", "--code", str(tmp_path))
    assert (status, out) == (1, "")
    assert f"{step} is there already; nothing was written" in err
    assert step.read_text() == "mine\n"
    assert not (tmp_path / "pipelines").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (["my pipe"], "only alphanumeric characters"),
        (["-x"], "see"),
        (["out", "--repo", "out"], "named out"),
        (["data"], "would read what it writes"),
        (["a", "--glob", "/[a"], "never closed"),
    ],
)
def test_names_that_can_not_be_are_refused(words: list[str], said: str, tmp_path: Path) -> None:
    status, _, err = typed(tmp_path, "", "new", "pipeline", *words, "--code", str(tmp_path))
    assert status
    assert said in err
    assert not list(tmp_path.iterdir())
