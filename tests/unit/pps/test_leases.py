"""Who is told when a job is over: a worker that still has something of it in hand, and nobody else."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from pachlet.clock import Clock
from pachlet.pps.alarms import Alarms
from pachlet.pps.leases import Leases, Offer


class Hand:
    """A worker's hand on a lease, which remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def cancel(self, reason: str) -> None:
        self.told.append(reason)

    def restart(self, datum: str, reason: str) -> None:
        raise AssertionError("nobody asked for it")


@pytest.mark.parametrize("settled, told", [(["a", "b"], []), (["a"], ["it was ended"])])
def test_a_worker_that_has_settled_all_it_had_is_left_alone(settled: list[str], told: list[str]) -> None:
    """Else the end of a job, which may come before its last worker has let go, would cost a warm session."""
    datums: list[Any] = [SimpleNamespace(datum=SimpleNamespace(id=each)) for each in ("a", "b")]
    job: Any = SimpleNamespace(key=1, pipeline=1, id="j")
    anything: Any = None
    clock = Clock()
    leases = Leases(clock, Alarms(clock), memory=1 << 30)
    offer = Offer(
        job, anything, anything, anything, anything, deque([datums]), 1, lambda: None, lambda _: None
    )
    leases.offer(offer)
    held, hand = leases.take("w", 0.0), Hand()
    assert held is not None
    leases.hold(held.token, hand)
    for each in settled:
        leases.claim(held.token, each)
    leases.withdraw(1, "it was ended")
    assert hand.told == told
