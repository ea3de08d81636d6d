"""What becomes of a worker and its session when a lease is over."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pachlet.worker.warm import Sessions
from pachlet.worker.working import Worker


class Done(Exception):
    """There are no more leases."""


class Head:
    """Gives leases without datums; remembers what comes back."""

    def __init__(self, leases: int) -> None:
        work = SimpleNamespace(key="k", stays_warm=True, environ={}, network=None, project="p", pipeline="q")
        work.transform = SimpleNamespace(datum_batching=True)
        self.leases: Iterator[Any] = iter([SimpleNamespace(work=work, tasks=[]) for _ in range(leases)])
        self.returned: list[Exception | None] = []

    def take(self, worker: str, seconds: float) -> Any:
        lease = next(self.leases, None)
        if lease is None:
            raise Done
        return lease

    def hold(self, lease: Any, hold: Any) -> None: ...

    def prepare(self, lease: Any, say: Any) -> None: ...

    def give_back(self, lease: Any, problem: Exception | None = None) -> None:
        self.returned.append(problem)


class Session:
    """A session in whose folder a process that stays may go on writing."""

    def __init__(self, folder: Path) -> None:
        self.pfs = folder / "pfs"
        self.pfs.mkdir(parents=True)
        self.is_open = True
        self.is_written_to = False

    def clear(self, *, keep_inputs: bool = False) -> None:
        if self.is_written_to:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")

    def close(self) -> None:
        self.is_open = False


class Runner:
    def __init__(self) -> None:
        self.opened: list[Session] = []

    def open(self, prepared: Any, transform: Any, folder: Path, environ: Any, *, network: Any) -> Session:
        self.opened.append(Session(folder))
        self.opened[-1].is_written_to = len(self.opened) == 1
        return self.opened[-1]


def test_a_folder_that_is_still_written_to_is_given_up_and_the_worker_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pachlet.worker.working.worker_name", lambda work, number: f"q-{number}")
    monkeypatch.setattr("pachlet.worker.working.what_ran", lambda prepared, work: {})
    head, runner = Head(leases=3), Runner()
    with pytest.raises(Done):
        Worker("w", head, runner, Sessions(tmp_path, 4, 4)).run()  # type: ignore[arg-type]
    assert head.returned == [None, None, None]
    assert [each.is_open for each in runner.opened] == [False, True]
