"""Which runner a machine gets: its own sandbox where the kernel allows one, else containers where an engine answers.

Read next: ../../../pachlet/worker/choosing.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pachlet.errors import FailedPrecondition
from pachlet.worker import choosing
from pachlet.worker.choosing import choose_runner
from pachlet.worker.process import ProcessRunner


class Containers:
    """Stands for the container runner of a machine with an engine."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the machine one with or without namespaces (macOS has none) and an engine; return what was closed."""

    def make(*, namespaces: bool, engine: bool) -> list[ProcessRunner]:
        closed: list[ProcessRunner] = []

        def containers(*arguments: Any) -> Containers:
            if not engine:
                raise FailedPrecondition("no container engine answers on this machine")
            return Containers(*arguments)

        monkeypatch.setattr(ProcessRunner, "probe", lambda self: "" if namespaces else "there are none here")
        monkeypatch.setattr(ProcessRunner, "close", lambda self: closed.append(self))
        monkeypatch.setattr(choosing, "_containers", containers)
        return closed

    return make


def choose(kind: str, folder: Path) -> Any:
    return choose_runner(kind, folder, folder / "envs", "me")


@pytest.mark.parametrize("engine", [True, False])
def test_auto_is_the_process_runner_where_it_can_make_a_sandbox(
    machine: Any, tmp_path: Path, engine: bool
) -> None:
    closed = machine(namespaces=True, engine=engine)
    assert isinstance(choose("auto", tmp_path), ProcessRunner)
    assert closed == []


def test_auto_is_containers_where_there_are_no_namespaces(machine: Any, tmp_path: Path) -> None:
    closed = machine(namespaces=False, engine=True)
    chosen = choose("auto", tmp_path)
    assert isinstance(chosen, Containers)
    assert chosen.arguments == (tmp_path, "me")
    assert len(closed) == 1


def test_auto_without_namespaces_and_engine_runs_what_needs_no_sandbox(machine: Any, tmp_path: Path) -> None:
    machine(namespaces=False, engine=False)
    assert isinstance(choose("auto", tmp_path), ProcessRunner)


@pytest.mark.parametrize("namespaces", [True, False])
def test_what_is_asked_for_by_name_is_what_there_is_or_an_error(
    machine: Any, tmp_path: Path, namespaces: bool
) -> None:
    machine(namespaces=namespaces, engine=True)
    assert isinstance(choose("process", tmp_path), ProcessRunner)
    assert isinstance(choose("container", tmp_path), Containers)
    machine(namespaces=namespaces, engine=False)
    with pytest.raises(FailedPrecondition, match="no container engine answers"):
        choose("container", tmp_path)
