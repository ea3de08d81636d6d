"""Both of Pachyderm's published Python clients, unmodified, drive the running server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pachlet.testing import RunningServer

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent.parent / ".venvs"


def run(client: str, program: str, server: RunningServer, *arguments: str) -> dict[str, Any]:
    python = ENVIRONMENTS / client / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{client} is not installed in .venvs; `make test` installs it")
    command = [python, HERE / program, server.address, *arguments]
    environ = os.environ | {"PYTHONPATH": str(HERE.parent.parent)} if client == "crypto_ml" else None
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def check_work(seen: dict[str, Any]) -> None:
    assert seen["version"] == 2
    assert seen["exists"]
    assert not seen["missing"]
    assert seen["nope"]
    assert set(seen["set"]) >= {"lines", "count"}
    assert seen["files"] == ["/a.txt", "/b.txt", "/c.txt"]
    assert seen["counts"] == {"a.txt": 2, "b.txt": 1, "c.txt": 4}
    assert (seen["processed"], seen["skipped"]) == (1, 2)
    assert seen["provenance"] == ["count.spec", "lines.user"]
    assert seen["image"] == "alpine"
    assert seen["repos_left"] == 0


def test_python_pachyderm_runs_a_pipeline(server: RunningServer) -> None:
    seen = run("python-pachyderm", "use_python_pachyderm.py", server)
    check_work(seen)
    assert seen["commit_has_branch_repo"] == "lines"
    assert "no_such_repo" in seen


def test_pachyderm_sdk_runs_a_pipeline(server: RunningServer) -> None:
    seen = run("pachyderm-sdk", "use_pachyderm_sdk.py", server)
    check_work(seen)
    assert seen["branch_is_stripped"]
