"""Podman's service, when Podman is not there for a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pachlet.errors import FailedPrecondition
from pachlet.worker.containers import engine
from pachlet.worker.containers.service import PodmanService

PODMAN = f"""#!{sys.executable}
import socket, sys
with socket.socket(socket.AF_UNIX) as door:
    door.bind(sys.argv[-1].removeprefix("unix://"))
    door.listen()
    while True:
        door.accept()
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs, in which are none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def service(programs: Path) -> Iterator[PodmanService]:
    started = PodmanService()
    yield started
    started.close()


def test_service_that_can_not_be_started_is_tried_until_it_can(
    programs: Path, service: PodmanService
) -> None:
    deadline = time.monotonic() + 30
    while not service.trouble and time.monotonic() < deadline:
        service.pause(0.01)
    assert service.trouble.startswith("it can't be started: ")
    assert not service.is_up
    being_installed = programs / "new"
    being_installed.write_text(PODMAN)
    being_installed.chmod(0o755)
    being_installed.rename(programs / "podman")
    service.wait_until_up()
    assert service.is_up


def test_podman_that_does_not_start_is_told_at_once(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_START_SECONDS", 1_000_000)
    (programs / "podman").write_text("no program")
    (programs / "podman").chmod(0o755)
    with pytest.raises(
        FailedPrecondition, match=r"does not answer: it can't be started: .*Exec format error"
    ):
        engine._serve_podman()
