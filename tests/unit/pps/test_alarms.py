"""Alarms go off by the engine's clock, in order, and not once they are cancelled."""

from __future__ import annotations

import queue
from collections.abc import Iterator

import pytest

from pachlet.clock import FakeClock
from pachlet.pps import alarms as alarms_module
from pachlet.pps.alarms import Alarms


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def alarms(clock: FakeClock) -> Iterator[Alarms]:
    alarms = Alarms(clock)
    yield alarms
    alarms.close()


def test_alarms_go_off_in_order_when_their_time_has_come(alarms: Alarms, clock: FakeClock) -> None:
    heard: queue.Queue[str] = queue.Queue()
    start = clock.now()
    for seconds in (30, 10, 20):
        alarms.at(start + seconds * 10**9, lambda seconds=seconds: heard.put(str(seconds)))  # type: ignore[misc]
    alarms.at(start + 15 * 10**9, lambda: heard.put("never")).cancel()
    alarms.at(start, lambda: heard.put("at once"))
    assert heard.get(timeout=10) == "at once"
    clock.advance(25)
    assert [heard.get(timeout=10), heard.get(timeout=10)] == ["10", "20"]
    assert heard.empty()
    clock.advance(25)
    assert heard.get(timeout=10) == "30"


def test_one_that_fails_keeps_no_other_from_going_off(
    alarms: Alarms, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(alarms_module.log, "exception", lambda text, *_: logged.put(text))
    heard: queue.Queue[str] = queue.Queue()

    def fail() -> None:
        raise RuntimeError

    alarms.at(clock.now(), fail)
    alarms.at(clock.now(), lambda: heard.put("next"))
    assert heard.get(timeout=10) == "next"
    assert "bug" in logged.get(timeout=10)


def test_cancelled_alarms_are_not_kept(clock: FakeClock) -> None:
    alarms = Alarms(clock)
    for _ in range(10_000):
        alarms.at(clock.now() + 10**18, lambda: None).cancel()
    assert len(alarms._times) <= 2000
    alarms.close()
