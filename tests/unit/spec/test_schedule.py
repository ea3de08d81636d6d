"""When schedules fire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.errors import Refused
from pachlet.spec.schedule import NANOS, parse_schedule


def after(spec: str, start: str) -> str | None:
    """Return the next time after one that is written as in `2024-01-31 12:00`, in UTC."""
    time = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()) * NANOS
    due = parse_schedule(spec).next(time)
    return None if due is None else datetime.fromtimestamp(due / NANOS, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    "spec, start, due",
    [
        ("* * * * *", "2024-01-31 12:00:59", "2024-01-31 12:01:00"),
        ("*/15 * * * *", "2024-01-31 12:15", "2024-01-31 12:30:00"),
        ("5 4 * * *", "2024-01-31 12:00", "2024-02-01 04:05:00"),
        ("0 0 29 2 *", "2024-02-29 00:00", "2028-02-29 00:00:00"),
        ("0 0 30 2 *", "2024-01-01 00:00", None),
        ("0 0 1 * 1", "2024-01-02 00:00", "2024-01-08 00:00:00"),  # the 1st or a Monday
        ("0 0 * * sun", "2024-01-01 00:00", "2024-01-07 00:00:00"),
        ("0 9-17/4 * * *", "2024-01-01 13:00", "2024-01-01 17:00:00"),
        ("10/20 * * * *", "2024-01-01 00:11", "2024-01-01 00:30:00"),
        ("0 0 1 jan,jul ?", "2024-01-01 00:00", "2024-07-01 00:00:00"),
        ("@yearly", "2024-03-01 00:00", "2025-01-01 00:00:00"),
        ("@monthly", "2024-03-01 00:00", "2024-04-01 00:00:00"),
        ("@weekly", "2024-03-01 00:00", "2024-03-03 00:00:00"),
        ("@daily", "2024-03-01 00:00", "2024-03-02 00:00:00"),
        ("@hourly", "2024-03-01 00:59", "2024-03-01 01:00:00"),
        ("@every 1h30m", "2024-03-01 00:00", "2024-03-01 01:30:00"),
        ("@every 10ms", "2024-03-01 00:00", "2024-03-01 00:00:01"),
        ("@never", "2024-03-01 00:00", None),
        ("TZ=Europe/Berlin 0 6 * * *", "2024-07-01 00:00", "2024-07-01 04:00:00"),
        ("TZ=Europe/Berlin 30 2 * * *", "2024-03-31 00:00", "2024-04-01 00:30:00"),  # skipped by the clocks
    ],
)
def test_next_time(spec: str, start: str, due: str | None) -> None:
    assert after(spec, start) == due


def test_every_counts_whole_seconds() -> None:
    assert parse_schedule("@every 3s").next(5 * NANOS + 999) == 8 * NANOS


def test_unknown_zone_is_refused() -> None:
    with pytest.raises(Refused, match="no time zone is named Nowhere/At-All"):
        parse_schedule("TZ=Nowhere/At-All @daily")


@given(
    st.sampled_from(["* * * * *", "7 */5 * * *", "0 0 13 * 5", "@hourly", "@every 7s"]),
    st.integers(0, 4 * 10**18),
)
def test_next_is_later_and_nothing_lies_between(spec: str, start: int) -> None:
    schedule = parse_schedule(spec)
    due = schedule.next(start)
    assert due is not None
    assert start < due
    if not spec.startswith("@every"):
        assert schedule.next((start + due) // 2) == due
