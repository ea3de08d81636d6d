"""Work out when a schedule fires: the time after a given one, as upstream's Go library would have it.

Times are nanoseconds since 1970; fields are read in UTC unless the schedule names a zone. A schedule that starts with
@every counts from the given time, cut to whole seconds. Where both days of the month and weekdays are given, either
will do. Where a zone's clocks are put forward, the times that they leave out don't fire; where they are put back, the
times that come twice fire twice.

Read next: cron.py (which schedules there are).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from pachlet.errors import Refused
from pachlet.spec.cron import DURATION, FIELDS, PART, ZONE, check_cron

NANOS = 1_000_000_000
_YEARS_AHEAD = 5  # upstream gives up after five years without a match
_LONGEST = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # the sign for micro
    "μs": 1_000,  # the Greek letter
    "ms": 1_000_000,
    "s": NANOS,
    "m": 60 * NANOS,
    "h": 3600 * NANOS,
}


class Schedule(Protocol):
    """When something fires."""

    def next(self, after: int) -> int | None:
        """Return the first time later than `after`, or None if there is none."""

    def rebase(self, after: int, until: int) -> int:
        """Return a time from `after` to `until` from which on it fires just as it does from `after` on."""


class Never:
    """`@never`."""

    def next(self, after: int) -> int | None:
        """Return None."""
        return None

    def rebase(self, after: int, until: int) -> int:
        """Return `until`."""
        return max(after, until)


@dataclass(frozen=True)
class Every:
    """`@every 10s`."""

    seconds: int

    def next(self, after: int) -> int | None:
        """Return the whole second that is so many seconds later."""
        return (after // NANOS + self.seconds) * NANOS

    def rebase(self, after: int, until: int) -> int:
        """Return `after`, or the last of the whole steps since that is not later than `until`."""
        step = self.seconds * NANOS
        whole = after // NANOS * NANOS
        return max(after, whole + (until - whole) // step * step)


@dataclass(frozen=True)
class Fields:
    """Five fields: the numbers that each allows."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    needs_both_days: bool
    zone: tzinfo

    @property
    def is_never(self) -> bool:
        """Whether no month has the days that it asks for: the 31st of February."""
        return self.needs_both_days and min(self.days) > max(_LONGEST[month] for month in self.months)

    def next(self, after: int) -> int | None:
        """Return the first whole minute that the fields allow."""
        try:
            found = self._find(after // NANOS + 1)
        except (ValueError, OverflowError, OSError):  # beyond what the calendar knows
            return None
        return None if found is None else found * NANOS

    def rebase(self, after: int, until: int) -> int:
        """Return `until`: what has fired does not matter to what fires next."""
        return max(after, until)

    def _find(self, second: int) -> int | None:
        local = datetime.fromtimestamp(second, self.zone)
        last_year = local.year + _YEARS_AHEAD
        while local.year <= last_year:
            steps = self._steps(local)
            if not steps:
                return second
            second += self._widest(second, local, steps)
            local = datetime.fromtimestamp(second, self.zone)
        return None

    def _steps(self, local: datetime) -> list[int]:
        """Return by how many seconds one may go on from a time that the fields don't allow, the most first.

        None where they allow it. Each step holds as far as the clocks of the zone go on steadily.
        """
        to_minute = 60 - local.second
        to_hour = (59 - local.minute) * 60 + to_minute
        to_day = (23 - local.hour) * 3600 + to_hour
        if local.month not in self.months or not self._has_day(local):
            return [to_day, to_hour, to_minute, 1]
        if local.hour not in self.hours:
            following = min((each for each in self.hours if each > local.hour), default=24)
            return [(following - local.hour - 1) * 3600 + to_hour, to_hour, to_minute, 1]
        if local.minute not in self.minutes or local.second:
            following = min((each for each in self.minutes if each > local.minute), default=60)
            return [(following - local.minute - 1) * 60 + to_minute, to_minute, 1]
        return []

    def _widest(self, second: int, local: datetime, steps: list[int]) -> int:
        for step in steps:
            if datetime.fromtimestamp(second + step, self.zone).utcoffset() == local.utcoffset():
                return step
        return 1  # the clocks are changed right now

    def _has_day(self, local: datetime) -> bool:
        matches = (local.day in self.days, local.isoweekday() % 7 in self.weekdays)
        return all(matches) if self.needs_both_days else any(matches)


@dataclass(frozen=True)
class Until:
    """A schedule that ends: nothing fires later than a time."""

    schedule: Schedule
    end: int

    def next(self, after: int) -> int | None:
        """Return the first time of the schedule, if it is not later than the end."""
        found = self.schedule.next(after)
        return found if found is not None and found <= self.end else None

    def rebase(self, after: int, until: int) -> int:
        """Return what the schedule does: its end moves nothing before it."""
        return self.schedule.rebase(after, until)


def parse_schedule(spec: str) -> Schedule:
    """Read a schedule; raise Refused if it can't be read."""
    check_cron(spec)
    text = spec.strip()
    zone: tzinfo = UTC
    if found := ZONE.match(text):
        zone = _parse_zone(found[0].strip().partition("=")[2])
        text = text[found.end() :]
    if text == "@never":
        return Never()
    if text.startswith("@every "):
        nanos = sum(Decimal(count) * _UNITS[unit] for count, unit in DURATION.findall(text))
        return Every(max(1, int(nanos) // NANOS))
    parts = _WORDS.get(text, text).split()
    minutes, hours, days, months, weekdays = (
        _numbers(part, lowest, highest, words)
        for part, (_, lowest, highest, words) in zip(parts, FIELDS, strict=True)
    )
    is_any = [any(each[:1] in "*?" for each in parts[index].split(",")) for index in (2, 4)]
    return Fields(minutes, hours, days, months, weekdays, any(is_any), zone)


def ticks_between(schedule: Schedule, after: int, until: int) -> Iterator[int]:
    """Yield the ticks later than `after` and not later than `until`."""
    tick = schedule.next(after)
    while tick is not None and tick <= until:
        yield tick
        tick = schedule.next(tick)


def _parse_zone(name: str) -> tzinfo:
    if name == "Local":
        name = "localtime"
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # KeyError is a name that is unknown, the others are odd ones
        raise Refused(
            f"error parsing cron-spec: no time zone is named {name}", hint="such as Europe/Berlin"
        ) from None


def _numbers(field: str, lowest: int, highest: int, words: list[str]) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        match = PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part} passed the check of a schedule")  # check_cron has looked at it
        step = int(match[4] or 1)
        begin, end = lowest, highest
        if not match[1]:
            begin = _number(match[2], lowest, words)
            if match[3]:
                end = _number(match[3], lowest, words)
            elif not match[4]:
                end = begin
        found.update(range(begin, end + 1, step))
    return frozenset(found)


def _number(text: str, lowest: int, words: list[str]) -> int:
    return words.index(text.lower()) + lowest if text.lower() in words else int(text)
