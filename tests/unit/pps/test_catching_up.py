"""Which missed ticks are made: properties of the choice against a list of all ticks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pachlet.pps.catching_up import AT_ONCE, CatchUp, Choice, choose_ticks
from pachlet.spec.schedule import NANOS, Schedule, Until, parse_schedule, ticks_between
from pachlet.spec.times import parse_time

SPECS = st.sampled_from(
    ["* * * * *", "*/7 3,4 * * *", "@every 37s", "@every 11m", "@daily", "@never", "0 0 30 2 *"]
)
TIMES = st.integers(1_700_000_000 * NANOS, 1_700_400_000 * NANOS)


def choose_all(spec: str | Schedule, policy: CatchUp, after: int, now: int) -> tuple[list[int], Choice]:
    """Choose until nothing is due, as the timer does."""
    schedule = parse_schedule(spec) if isinstance(spec, str) else spec
    made: list[int] = []
    while True:
        choice = choose_ticks(schedule, policy, after, now)
        assert len(choice.ticks) <= AT_ONCE
        assert choice.followed >= after
        made += choice.ticks
        after = choice.followed
        due = schedule.next(after)
        if due is None or due > now:
            return made, choice


@given(SPECS, TIMES, TIMES)
def test_all_are_made_in_order(spec: str, after: int, now: int) -> None:
    made, _ = choose_all(spec, CatchUp.ALL, after, now)
    assert made == list(ticks_between(parse_schedule(spec), after, now))


@given(SPECS, TIMES, TIMES)
def test_last_is_the_newest(spec: str, after: int, now: int) -> None:
    every = list(ticks_between(parse_schedule(spec), after, now))
    made, choice = choose_all(spec, CatchUp.LAST, after, now)
    assert made == every[-1:]
    assert choice.left_out == min(max(len(every) - 1, 0), 1000)


@given(SPECS, TIMES, TIMES)
def test_none_are_made_that_are_late(spec: str, after: int, now: int) -> None:
    schedule = parse_schedule(spec)
    made, choice = choose_all(spec, CatchUp.NONE, after, now)
    every = list(ticks_between(schedule, after, now))
    assert made == [each for each in every if each > now - 60 * NANOS]
    assert choice.left_out == min(len(every) - len(made), 1000)
    # The rhythm stays what it was.
    following = next(iter(ticks_between(schedule, every[-1] if every else after, now + 10**6 * NANOS)), None)
    assert schedule.next(choice.followed) == following or following is None


@given(SPECS, TIMES, TIMES, TIMES, st.sampled_from(CatchUp))
def test_a_schedule_that_ends_is_the_same_until_then_and_nothing_later(
    spec: str, after: int, now: int, end: int, policy: CatchUp
) -> None:
    made, _ = choose_all(Until(parse_schedule(spec), end), policy, after, now)
    every = [each for each in ticks_between(parse_schedule(spec), after, now) if each <= end]
    wanted = {
        CatchUp.ALL: every,
        CatchUp.LAST: every[-1:],
        CatchUp.NONE: [each for each in every if each > now - 60 * NANOS],
    }
    assert made == wanted[policy]


def test_newest_of_millions_is_found_at_once() -> None:
    start, now = parse_time("1900-01-01T00:00:00Z"), parse_time("2024-03-01T10:30:30Z")
    assert start is not None
    assert now is not None
    for spec in ("* * * * *", "@every 1s", "@yearly"):
        choice = choose_ticks(parse_schedule(spec), CatchUp.LAST, start, now)
        assert len(choice.ticks) == 1
        assert choice.left_out >= 100
