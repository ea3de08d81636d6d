"""What came of the attacks in each arena, found out once for all workers of a test run.

Read next: arena.py, test_sandbox.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pachlet.worker.process import ProcessRunner
from tests.container_engine import shared_engine, skip_without_engine
from tests.security.arena import NOBODY, arena
from tests.security.rootless import NoRootlessError, rootless

ARENAS = {
    "root, processes": (0, "process"),
    "root, containers": (0, "container"),
    "a user, processes": (NOBODY, "process"),
    "a user, containers": (NOBODY, "container"),
}
_RUN = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
_FOLDER = Path(tempfile.gettempdir(), f"pachlet-attacks-{_RUN}")


@pytest.fixture(scope="session", params=ARENAS)
def fight(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of the attacks in an arena; skipped where there can be no such arena."""
    uid, runner = ARENAS[request.param]
    if uid != os.geteuid() and os.geteuid() != 0:
        uid = _ourselves_or_skip(uid)
    if runner == "container":
        skip_without_engine()
    else:
        _skip_without_sandbox(tmp_path_factory.mktemp("probe"))
    _FOLDER.mkdir(mode=0o700, exist_ok=True)
    found = _FOLDER / request.param
    with Path(f"{found}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not found.exists():
            try:
                found.write_text(json.dumps(_fight(uid, runner)))
            except NoRootlessError as error:
                found.write_text(json.dumps({"reason": str(error)}))
    told: dict[str, Any] = json.loads(found.read_text())
    if reason := told.get("reason"):
        pytest.skip(f"Podman does not work for an ordinary user here: {reason}")
    return told


def _ourselves_or_skip(uid: int) -> int:
    if uid == 0:
        pytest.skip("not root: what root's server keeps can't be tried")
    return os.geteuid()


def _skip_without_sandbox(folder: Path) -> None:
    runner = ProcessRunner(folder, folder / "envs")
    reason = runner.probe()
    runner.close()
    if reason:
        pytest.skip(f"no sandbox on this machine: {reason}")


def _fight(uid: int, runner: str) -> dict[str, Any]:
    with _engine(uid, runner) as more, arena(uid, runner, more) as found:
        told = {
            "uid": uid,
            "runner": runner,
            "inside": found.attack_from_step(),
            "outside": found.attack_from_outside(uid),
            "excess": found.exceed(),
            "outliving": found.outliving(),
        }
        if runner == "process":
            told["allowed"] = found.attack_from_step("reach another program's port", metadata=_ALLOW)
        if os.geteuid() == 0:
            told["by root"] = found.attack_from_outside(0)
            told["by another"] = found.attack_from_outside(NOBODY) if uid == 0 else {}
        return told


@contextlib.contextmanager
def _engine(uid: int, runner: str) -> Iterator[Mapping[str, str]]:
    """Give what a server's environment has to say for it to find its container engine."""
    if runner == "process":
        yield {}
    elif uid == 0:
        with shared_engine():
            yield {}
    else:
        with rootless(uid) as told:
            yield told


_ALLOW = {"annotations": {"pachlet/network": "allow"}}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Forget it all once no worker needs it any more."""
    if "PYTEST_XDIST_WORKER" not in os.environ and _FOLDER.exists():
        for each in _FOLDER.iterdir():
            each.unlink()
        _FOLDER.rmdir()
