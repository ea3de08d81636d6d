"""When schedules fire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

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
        ("CRON_TZ=Europe/Berlin 0 6 * * *", "2024-12-01 00:00", "2024-12-01 05:00:00"),
        ("TZ=Local 0 6 * * *", "2024-07-01 00:00", "2024-07-01 06:00:00"),
        ("TZ=America/New_York @daily", "2024-07-01 00:00", "2024-07-01 04:00:00"),
        ("@every .5h", "2024-03-01 00:00", "2024-03-01 00:30:00"),
        ("@every 2999999999ns", "2024-03-01 00:00", "2024-03-01 00:00:02"),
        ("@every 3000000000ns", "2024-03-01 00:00", "2024-03-01 00:00:03"),
        ("0 0 29 2 *", "2097-01-01 00:00", None),  # nothing within five years
    ],
)
def test_next_time(spec: str, start: str, due: str | None) -> None:
    assert after(spec, start) == due


def test_every_counts_whole_seconds() -> None:
    assert parse_schedule("@every 3s").next(5 * NANOS + 999) == 8 * NANOS


def test_unknown_zone_is_refused() -> None:
    with pytest.raises(Refused, match="no time zone is named Nowhere/At-All"):
        parse_schedule("TZ=Nowhere/At-All @daily")


def test_zone_is_at_the_beginning_only() -> None:
    with pytest.raises(Refused, match="expected exactly 5 fields, found 6"):
        parse_schedule("0 0 * TZ=UTC * *")


def fires(spec: str, start: str, count: int) -> list[str]:
    """Return the next times after one, each in UTC as `31 01:30`."""
    schedule, found = parse_schedule(spec), []
    time: int | None = int(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp()) * NANOS
    for _ in range(count):
        time = schedule.next(time) if time is not None else None
        found.append("" if time is None else datetime.fromtimestamp(time / NANOS, UTC).strftime("%d %H:%M"))
    return found


def test_clocks_that_are_put_forward_leave_times_out() -> None:
    assert fires("TZ=Europe/Berlin 30 2 * * *", "2024-03-30 00:00", 3) == ["30 01:30", "01 00:30", "02 00:30"]
    assert fires("TZ=Europe/Berlin 0 * * * *", "2024-03-30 23:30", 4) == [
        "31 00:00",
        "31 01:00",
        "31 02:00",
        "31 03:00",
    ]
    assert fires("TZ=Europe/Berlin 0 6 * * *", "2024-03-30 00:00", 3) == ["30 05:00", "31 04:00", "01 04:00"]
    # At midnight, in Brazil until 2018; by half an hour, on Lord Howe Island; by a whole day, on Samoa.
    assert fires("TZ=America/Sao_Paulo 0 0 * * *", "2018-11-03 00:00", 3) == [
        "03 03:00",
        "05 02:00",
        "06 02:00",
    ]
    assert fires("TZ=Australia/Lord_Howe 15 * * * *", "2024-10-05 14:00", 3) == [
        "05 14:45",
        "05 16:15",
        "05 17:15",
    ]
    assert fires("TZ=Pacific/Apia 0 12 30 12 *", "2010-12-31 00:00", 2) == ["29 22:00", "29 22:00"]


def test_clocks_that_are_put_back_make_times_come_twice() -> None:
    assert fires("TZ=Europe/Berlin 30 2 * * *", "2024-10-26 02:00", 3) == ["27 00:30", "27 01:30", "28 01:30"]
    assert fires("TZ=Europe/Berlin 0 * * * *", "2024-10-26 23:30", 4) == [
        "27 00:00",
        "27 01:00",
        "27 02:00",
        "27 03:00",
    ]
    assert fires("TZ=Europe/Berlin 0 6 * * *", "2024-10-26 00:00", 3) == ["26 04:00", "27 05:00", "28 05:00"]
    # One minute after midnight, in Newfoundland until 2011.
    assert fires("TZ=America/St_Johns 30 23 * * *", "2010-11-06 03:00", 3) == [
        "07 02:00",
        "07 03:00",
        "08 03:00",
    ]
