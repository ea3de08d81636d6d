"""What reaches a worker about its lease; when that is over, a session that is warm for the next job is left alone."""

from __future__ import annotations

from typing import Any

from pachlet.worker.datum_run import Holding


class Killed:
    """Stands in for a session; remembers why it was killed."""

    def __init__(self) -> None:
        self.reasons: list[tuple[str, bool]] = []

    def kill(self, reason: str = "killed", *, for_good: bool = False) -> None:
        self.reasons.append((reason, for_good))


def holding_of(session: Any) -> Holding:
    holding = Holding()
    holding.use(session)
    return holding


def test_void_lease_ends_its_session_for_good() -> None:
    session = Killed()
    holding = holding_of(session)
    holding.cancel("the job was stopped")
    assert session.reasons == [("the job was stopped", True)]
    assert not holding.let_go()


def test_news_of_a_lease_that_is_over_does_not_reach_the_next_job() -> None:
    session = Killed()
    holding = holding_of(session)
    assert holding.let_go()
    holding.cancel("the job was stopped")
    holding.restart("", "restarted")
    assert session.reasons == []


def test_session_that_comes_too_late_is_ended() -> None:
    session = Killed()
    holding = Holding()
    holding.cancel("the lease is void")
    holding.use(session)  # type: ignore[arg-type]
    assert session.reasons == [("the lease is void", True)]
