"""Choose which of the ticks that are due a cron input gets, as the pipeline's annotations say.

Ticks are missed while the server is down or the pipeline stopped, and when `start` lies in the past. As upstream, each
of them is made, in order (`all`). A pipeline that only ever wants the newest state says `last` in `pachlet/catch-up`,
one that has no use for late ticks `none`. The spec has no field for a schedule's end; `pachlet/until` is one.

Read next: cron_inputs.py (where the schedules have got to), ticking.py (who asks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from pachlet.errors import Refused
from pachlet.spec.schedule import NANOS, Schedule, Until, parse_schedule, ticks_between
from pachlet.spec.times import parse_time

ANNOTATION = "pachlet/catch-up"
UNTIL = "pachlet/until"
AT_ONCE = 100
"""So many ticks are made in one transaction at most: other writers wait for it."""
_LATE = 60 * NANOS
"""A tick that could not be made within this time was missed; a server that is busy misses none."""


class CatchUp(StrEnum):
    """Which of the ticks that were missed are made."""

    ALL = "all"
    LAST = "last"
    NONE = "none"


@dataclass(frozen=True)
class Choice:
    """What is to be made now."""

    ticks: list[int]
    followed: int
    """How far the schedule has been followed with that; more may be due."""
    left_out: int
    """How many ticks that were missed are not made."""


def catch_up_of(spec: Mapping[str, Any]) -> CatchUp:
    """Return what a spec's annotation says; raise Refused for a word that is none."""
    word = _annotations(spec).get(ANNOTATION, "all")
    try:
        return CatchUp(word)
    except ValueError:
        raise Refused(
            f"the annotation {ANNOTATION} is {word!r}", hint="write all (the default), last or none"
        ) from None


def until_of(spec: Mapping[str, Any]) -> int | None:
    """Return the time after which a spec's cron inputs don't tick, if it names one; Refused for what is no time."""
    word = _annotations(spec).get(UNTIL)
    if word is None:
        return None
    end = parse_time(str(word))
    if end is None:
        raise Refused(
            f"the annotation {UNTIL} is {word!r}",
            hint="write a time as that of `start`: 2026-12-31T00:00:00Z",
        )
    return end


def schedule_of(spec: Mapping[str, Any], cron: str) -> Schedule:
    """Return the schedule of a cron input of a spec, with its end if it has one."""
    end = until_of(spec)
    return parse_schedule(cron) if end is None else Until(parse_schedule(cron), end)


def _annotations(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return (spec.get("metadata") or {}).get("annotations") or {}


def choose_ticks(schedule: Schedule, policy: CatchUp, after: int, now: int) -> Choice:
    """Choose of the ticks later than `after` and not later than `now`."""
    if policy is CatchUp.NONE:
        base = schedule.rebase(after, now - _LATE)
        ticks = list(islice(ticks_between(schedule, base, now), AT_ONCE))
        return Choice(ticks, ticks[-1] if ticks else base, _count(schedule, after, base))
    if policy is CatchUp.LAST:
        newest = _newest(schedule, after, now)
        if newest is None:
            return Choice([], after, 0)
        return Choice([newest], newest, _count(schedule, after, newest - 1))
    ticks = list(islice(ticks_between(schedule, after, now), AT_ONCE))
    return Choice(ticks, ticks[-1] if ticks else after, 0)


def _newest(schedule: Schedule, after: int, now: int) -> int | None:
    """Return the last tick in a span that may hold millions: look back twice as far until there is one."""
    back = _LATE
    while True:
        base = schedule.rebase(after, now - back)
        newest = max(ticks_between(schedule, base, now), default=None)
        if newest is not None or base <= after:
            return newest
        back *= 2


def _count(schedule: Schedule, after: int, until: int) -> int:
    """Count ticks, up to a thousand, for a remark in the log."""
    return sum(1 for _ in islice(ticks_between(schedule, after, until), 1000))
