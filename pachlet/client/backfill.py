"""Make the ticks of cron inputs that a span of time lacks, in order; those that are there stay as they are.

Ticks are put as commits like any other file, so this works on a Pachyderm cluster too. What is missing is found out
anew each time: a backfill that was broken off goes on where it was.

Read next: pipelines.py, pachlet/spec/schedule.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pachlet.client import names
from pachlet.client.authorship import header
from pachlet.client.commits import list_commit
from pachlet.client.connection import Connection, Message
from pachlet.client.files import list_file
from pachlet.client.pipelines import inspect_pipeline
from pachlet.client.watch import head_of
from pachlet.errors import NotFound, Refused
from pachlet.spec.schedule import NANOS, Every, Never, parse_schedule, ticks_between
from pachlet.spec.times import format_time, parse_time

_COMBINED = ("cross", "join", "group", "union")
MOST = 100_000
"""More ticks than this at a time are taken for a slip."""


@dataclass(frozen=True)
class Gap:
    """The ticks that one cron input lacks."""

    cron: Message
    missing: list[int]
    there: set[int]
    """The ticks that are there, within the span and without."""

    @property
    def branch(self) -> str:
        """The branch that the ticks are put on."""
        return f"{self.cron.project or 'default'}/{self.cron.repo}@master"


def find_gaps(connection: Connection, pipeline: str, start: int, end: int, name: str = "") -> list[Gap]:
    """Return what each cron input of a pipeline (or the one with a name) lacks from `start` to `end`."""
    info = inspect_pipeline(connection, pipeline)
    crons = [each for each in _crons(info.details.input) if not name or each.name == name]
    if not crons:
        if name:
            raise NotFound(
                f"pipeline {names.show_pipeline(info.pipeline)} has no cron input {name}",
                hint="leave out --input, or see `pachctl inspect pipeline`",
            )
        raise Refused("pipeline doesn't have a cron input", hint="only cron inputs have ticks")
    return [_gap(connection, cron, start, end) for cron in crons]


def _crons(part: Message) -> Iterator[Message]:
    if part.HasField("cron"):
        yield part.cron
    for kind in _COMBINED:
        for inner in getattr(part, kind):
            yield from _crons(inner)


def _gap(connection: Connection, cron: Message, start: int, end: int) -> Gap:
    schedule = parse_schedule(cron.spec)
    if isinstance(schedule, Never):
        raise Refused(
            f"cron input {cron.name} ticks @never: no times are missing",
            hint="`pachctl run cron` makes one now",
        )
    before = start - 1
    if isinstance(schedule, Every):
        # Its rhythm is counted from the input's own start, into the past as well.
        step, origin = schedule.seconds * NANOS, cron.start.seconds * NANOS
        before = origin + (before - origin) // step * step
    there = set(_ticks_there(connection, cron))
    missing: list[int] = []
    for tick in ticks_between(schedule, before, end):
        if tick not in there:
            missing.append(tick)
        if len(missing) > MOST:
            raise Refused(f"more than {MOST} ticks are missing", hint="fill a shorter span at a time")
    return Gap(cron, missing, there)


def _ticks_there(connection: Connection, cron: Message) -> Iterator[int]:
    """Yield the ticks in the repo: all are in the newest commit, unless each replaces the one before."""
    repo = f"{cron.project or 'default'}/{cron.repo}"
    heads = ["master"]
    if cron.overwrite:
        heads = [each.commit.id for each in list_commit(connection, repo=repo) if each.HasField("finished")]
    for head in heads:
        for info in list_file(connection, f"{repo}@{head}:/"):
            if (time := parse_time(info.file.path.strip("/"))) is not None:
                yield time


def fill(connection: Connection, gap: Gap, show: Callable[[int, str], None]) -> list[str]:
    """Make the missing ticks, one commit each; return the ids of their commits.

    Where each tick replaces the one before, the newest of all is put back at the end: it is what the pipeline shows.
    """
    made = []
    for number, tick in enumerate(gap.missing, 1):
        show(number, format_time(tick))
        made.append(_put(connection, gap, tick))
    newest = max(gap.there, default=0)
    if gap.cron.overwrite and gap.missing and newest > gap.missing[-1]:
        made.append(_put(connection, gap, newest))
    return made


def _put(connection: Connection, gap: Gap, tick: int) -> str:
    target = names.commit(connection.project, gap.branch)
    messages: list[dict[str, Any]] = [{"set_commit": target}]
    if gap.cron.overwrite:
        messages.append({"delete_file": {"path": "/"}})
    messages.append({"add_file": {"path": f"/{format_time(tick)}", "raw": {"value": b""}}})
    connection.send("pfs_v2.API", "ModifyFile", messages, metadata=header())
    return head_of(connection, gap.branch)
