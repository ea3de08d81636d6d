"""Work out when a schedule fires: the time after a given one, as upstream's Go library would have it.

Times are nanoseconds since 1970; fields are read in UTC unless the schedule names a zone. A schedule that starts with
@every counts from the given time, cut to whole seconds. Where both days of the month and weekdays are given, either
will do.

Read next: cron.py (which schedules there are).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from pachlet.errors import Refused
from pachlet.spec.cron import FIELDS, PART, ZONE, check_cron

NANOS = 1_000_000_000
_DAYS_AHEAD = 5 * 366  # upstream gives up after five years without a match
_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Schedule(Protocol):
    """When something fires."""

    def next(self, after: int) -> int | None:
        """Return the first time later than `after`, or None if there is none."""


class Never:
    """`@never`."""

    def next(self, after: int) -> int | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class Every:
    """`@every 10s`."""

    seconds: int

    def next(self, after: int) -> int | None:
        """Return the whole second that is so many seconds later."""
        return (after // NANOS + self.seconds) * NANOS


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

    def next(self, after: int) -> int | None:
        """Return the first whole minute that the fields allow."""
        try:
            start = datetime.fromtimestamp(after // NANOS, self.zone).date()
        except (ValueError, OverflowError, OSError):
            return None
        for number in range(_DAYS_AHEAD):
            try:
                day = start + timedelta(days=number)
            except OverflowError:
                return None
            if day.month not in self.months or not self._has_day(day.day, day.isoweekday() % 7):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    time = self._time(datetime(day.year, day.month, day.day, hour, minute))
                    if time is not None and time > after:
                        return time
        return None

    def _has_day(self, day: int, weekday: int) -> bool:
        matches = (day in self.days, weekday in self.weekdays)
        return all(matches) if self.needs_both_days else any(matches)

    def _time(self, local: datetime) -> int | None:
        """Return the time of a clock on the wall; None where the clocks are put forward over it."""
        there = local.replace(tzinfo=self.zone)
        if there.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != local:
            return None
        return int(there.timestamp()) * NANOS


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
        pieces = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)", text)
        return Every(max(1, int(sum(float(count) * _UNITS[unit] for count, unit in pieces))))
    parts = _WORDS.get(text, text).split()
    minutes, hours, days, months, weekdays = (
        _numbers(part, lowest, highest, words)
        for part, (_, lowest, highest, words) in zip(parts, FIELDS, strict=True)
    )
    is_any = [any(each[:1] in "*?" for each in parts[index].split(",")) for index in (2, 4)]
    return Fields(minutes, hours, days, months, weekdays, any(is_any), zone)


def _parse_zone(name: str) -> tzinfo:
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
