"""When schedules fire, against a reference that looks at every single minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from pachlet.spec.schedule import NANOS, parse_schedule

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]
_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_AHEAD = 3 * 24 * 60  # minutes that the reference looks at

_2008, _2040 = 1_199_145_600, 2_208_988_800  # seconds
_CHANGES = [  # just before clocks are put forward or back
    1_711_843_200,  # Berlin, in March 2024
    1_729_987_200,  # Berlin, in October 2024
    1_710_050_400,  # New York, in March 2024
    1_730_610_000,  # New York, in November 2024
    1_289_091_600,  # Newfoundland, in November 2010, at a minute past midnight
    1_728_136_800,  # Lord Howe Island, in October 2024, by half an hour
    1_712_412_000,  # the same, in April 2024
]


@st.composite
def fields(draw: st.DrawFn) -> list[set[int] | None]:
    """Draw what each of the five fields allows; None is a star. Rare fields alone would seldom fire."""
    return [
        draw(st.none() | st.sets(st.integers(low, high), min_size=1, max_size=high - low + 1))
        for low, high in _FIELDS
    ]


def written(allowed: list[set[int] | None]) -> str:
    return " ".join("*" if each is None else ",".join(map(str, sorted(each))) for each in allowed)


def matches(allowed: list[set[int] | None], local: datetime) -> bool:
    minute, hour, day, month, weekday = (
        each is None or value in each
        for each, value in zip(
            allowed,
            (local.minute, local.hour, local.day, local.month, local.isoweekday() % 7),
            strict=True,
        )
    )
    a_star = allowed[2] is None or allowed[4] is None
    return minute and hour and month and (day and weekday if a_star else day or weekday)


def reference(allowed: list[set[int] | None], zone: str, after: int) -> int | None:
    """Return the first whole minute later than `after`, in nanoseconds; None if the next days have none."""
    minute = datetime.fromtimestamp(after // NANOS, UTC).replace(second=0, microsecond=0)
    for number in range(1, _AHEAD):
        time = minute + timedelta(minutes=number)
        if matches(allowed, time.astimezone(ZoneInfo(zone))):
            return int(time.timestamp()) * NANOS
    return None


near_a_change = st.builds(
    lambda change, hours: change + hours * 1800, st.sampled_from(_CHANGES), st.integers(-60, 10)
)


@given(
    fields(),
    st.sampled_from(ZONES),
    st.one_of(near_a_change, st.integers(_2008, _2040)),
    st.integers(0, NANOS - 1),
)
@example([{30}, {2}, None, None, None], "Europe/Berlin", 1_711_843_200, 0)
@example([{30}, {2}, None, None, None], "Europe/Berlin", 1_729_987_200 + 1800, 0)
@example([{30}, {23}, None, None, None], "America/St_Johns", 1_289_091_600 + 2 * 3600, 0)
def test_next_is_what_looking_at_every_minute_finds(
    allowed: list[set[int] | None], zone: str, second: int, nanos: int
) -> None:
    after = second * NANOS + nanos
    due = parse_schedule(f"TZ={zone} {written(allowed)}").next(after)
    wanted = reference(allowed, zone, after)
    if wanted is not None:
        assert due == wanted
    elif due is not None:
        assert due >= after + (_AHEAD - 2) * 60 * NANOS
        assert matches(allowed, datetime.fromtimestamp(due // NANOS, ZoneInfo(zone)))


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
