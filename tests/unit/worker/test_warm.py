"""Which session serves whom, and when one is closed."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from pachlet.worker import warm
from pachlet.worker.warm import IDLE_SECONDS, SCALED_DOWN_SECONDS, Sessions


class Session:
    def __init__(self, folder: Path) -> None:
        self.pfs = folder
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class Room:
    def __init__(self, folder: Path, most_idle: int = 9, most_with_code: int = 9) -> None:
        self.now = 100.0
        self.opened: list[Session] = []
        self.sessions = Sessions(folder, most_idle, most_with_code, now=lambda: self.now)

    def take(self, key: str, stays: bool = True, has_code: bool = False) -> warm.Warm:
        def open(number: int, folder: Path) -> Any:
            self.opened.append(Session(folder))
            return self.opened[-1]

        return self.sessions.take(key, stays, open, has_code=has_code)


def test_what_served_a_key_serves_it_again_and_no_other(tmp_path: Path) -> None:
    room = Room(tmp_path)
    first = room.take("a")
    second = room.take("a")
    assert (first.number, second.number) == (0, 1)
    room.sessions.put_back(first)
    assert room.take("b") is not first
    assert room.take("a") is first
    assert len(room.opened) == len({each.pfs for each in room.opened}) == 3
    room.sessions.drop(first)
    assert not room.opened[0].is_open
    assert room.take("a").number == 0


def test_unused_sessions_are_closed_after_a_while(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert room.sessions.next_end() is None
    room.sessions.put_back(room.take("a"))
    room.sessions.put_back(room.take("to zero", stays=False))
    assert room.sessions.next_end() == SCALED_DOWN_SECONDS
    room.now += SCALED_DOWN_SECONDS
    room.sessions.close_idle()
    assert [each.is_open for each in room.opened] == [True, False]
    room.now += IDLE_SECONDS
    room.sessions.close_idle()
    assert [each.is_open for each in room.opened] == [False, False]


def test_of_too_many_the_least_recently_used_goes(tmp_path: Path) -> None:
    room = Room(tmp_path, most_idle=2)
    three = [room.take(key) for key in "abc"]
    for each in three:
        room.sessions.put_back(each)
    assert [each.is_open for each in room.opened] == [False, True, True]


def test_fewer_are_kept_of_those_that_hold_a_process_of_the_users(tmp_path: Path) -> None:
    room = Room(tmp_path, most_idle=3, most_with_code=1)
    taken = [room.take("a", has_code=True), room.take("b"), room.take("c", has_code=True), room.take("d")]
    for each in taken:
        room.sessions.put_back(each)
    assert [each.is_open for each in room.opened] == [False, True, True, True]
    room.sessions.put_back(room.take("e"))
    assert [each.is_open for each in room.opened] == [False, False, True, True, True]


@pytest.mark.parametrize("open_files, kept", [(256, 16), (20_000, 128), (resource.RLIM_INFINITY, 128)])
def test_no_more_are_kept_than_there_are_descriptors_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_files: int, kept: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (open_files, open_files))
    sessions = Sessions.of_workers(tmp_path, workers=2)
    opened: list[Session] = []

    def open(number: int, folder: Path) -> Any:
        opened.append(Session(folder))
        return opened[-1]

    for each in [sessions.take(number, True, open) for number in range(130)]:
        sessions.put_back(each)
    assert sum(each.is_open for each in opened) == kept


def test_a_machine_short_of_memory_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path)
    room.sessions.put_back(room.take("a"))
    monkeypatch.setattr(warm, "_is_short_of_memory", lambda: True)
    room.take("b")
    assert [each.is_open for each in room.opened] == [True, True]  # it looks once a second at most
    room.now += 1
    room.take("c")
    assert [each.is_open for each in room.opened] == [False, True, True]


def test_a_session_that_can_not_be_opened_leaves_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)

    def fail(number: int, folder: Path) -> Any:
        raise RuntimeError("no session")

    with pytest.raises(RuntimeError):
        room.sessions.take("a", True, fail)
    assert room.take("a").number == 0


@pytest.mark.parametrize("workers, kept", [(1, 16), (4, 32)])
def test_a_lone_worker_keeps_the_processes_of_as_many_pipelines_as_two_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, kept: int
) -> None:
    monkeypatch.setattr(warm, "_LEAST_FREE", 0)
    sessions = Sessions.of_workers(tmp_path, workers)
    opened: list[Session] = []

    def open(number: int, folder: Path) -> Any:
        opened.append(Session(folder))
        return opened[-1]

    for each in [sessions.take(number, True, open, has_code=True) for number in range(40)]:
        sessions.put_back(each)
    assert sum(each.is_open for each in opened) == kept
