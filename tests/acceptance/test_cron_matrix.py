"""Every combination of what may happen to a schedule: a start in the past, an update, a stop, a tick by hand.

All of them live through three days in which the server is down and the clocks are put forward. What must be there is
found by looking at every minute of those days.

Read next: test_cron.py (each by itself), pachlet/pps/ticking.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pachlet import testing
from pachlet.client import pipelines
from pachlet.client.connection import Connection
from tests.acceptance.test_cron import at, cron, is_quiet, ticks
from tests.acceptance.words import shell

SPEC, TIMES = "CRON_TZ=Europe/Berlin 30 2,14 * * *", {(2, 30), (14, 30)}
PAST, CREATED, STOPPED = "2024-03-26 00:00", "2024-03-28 10:30", "2024-03-28 14:00"
UPDATED, STARTED, DOWN, UP = "2024-03-29 02:00", "2024-03-29 12:00", "2024-03-29 12:30", "2024-04-01 12:00"
END = "2024-04-01 13:00"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def scheduled(after: str, until: str) -> Iterator[str]:
    """Yield the schedule's ticks in a span."""
    time, berlin = moment(after), ZoneInfo("Europe/Berlin")
    while time < moment(until):
        time += timedelta(minutes=1)
        local = time.astimezone(berlin)
        if (local.hour, local.minute) in TIMES:
            yield time.strftime("%Y-%m-%dT%H:%M:00Z")


@dataclass
class Case:
    """A pipeline, what happens to it, and the ticks that it should have by now."""

    name: str
    has_start: bool
    is_updated: bool
    is_stopped: bool
    is_ticked: bool
    due: list[str] = field(default_factory=list)

    def spec(self, script: str) -> dict[str, Any]:
        start = {"start": f"{PAST.replace(' ', 'T')}:00Z"} if self.has_start else {}
        return shell(self.name, script, cron(SPEC, **start))


def test_each_has_the_ticks_of_its_schedule_and_no_other(tmp_path: Path) -> None:
    cases = [Case(f"p{n}", *what) for n, what in enumerate(itertools.product((False, True), repeat=4))]
    clock = at(CREATED)

    def until(text: str) -> None:
        clock.advance(math.ceil(moment(text).timestamp() - clock.now() / 1e9))

    def check(connection: Connection) -> None:
        for each in cases:
            assert ticks(connection, len(each.due), f"{each.name}_tick") == each.due, each

    with testing.server(tmp_path, clock=clock) as server, Connection(server.address) as connection:
        for each in cases:
            pipelines.create_pipeline(connection, each.spec("true"))
            each.due += scheduled(PAST if each.has_start else CREATED, STOPPED)
        until(STOPPED)
        check(connection)
        for each in cases:
            if each.is_stopped:
                pipelines.stop_pipeline(connection, each.name)
            if each.is_ticked:
                pipelines.run_cron(connection, each.name)
                each.due.append("2024-03-28T14:00:00Z")
        until(UPDATED)
        for each in cases:
            if not each.is_stopped:
                each.due += scheduled(STOPPED, UPDATED)
        check(connection)
        for each in cases:
            if each.is_updated:
                pipelines.create_pipeline(connection, each.spec("exit 0"), update=True)
        until(STARTED)
        for each in cases:
            if each.is_stopped:
                pipelines.start_pipeline(connection, each.name)
                # An update without a start begins at the present, so nothing was missed before it.
                is_begun_anew = each.is_updated and not each.has_start
                each.due += scheduled(UPDATED if is_begun_anew else STOPPED, STARTED)
        check(connection)
        until(DOWN)
    until(UP)
    with testing.server(tmp_path, clock=clock) as server, Connection(server.address) as connection:
        for each in cases:
            each.due += scheduled(STARTED, UP)
        assert [each[8:16] for each in cases[0].due[-5:]] == [
            "29T13:30",
            "30T01:30",
            "30T13:30",
            "31T12:30",
            "01T00:30",
        ]
        check(connection)
        until(END)
        for each in cases:
            each.due += scheduled(UP, END)
        check(connection)
        assert all(is_quiet(connection, len(each.due), f"{each.name}_tick") for each in cases)
