"""backfill: make the ticks of a pipeline's cron inputs that a span of time lacks.

Read next: pachlet/client/backfill.py.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client.backfill import Gap, fill, find_gaps
from pachlet.client.watch import Outcome, wait_for
from pachlet.errors import Usage
from pachlet.spec.times import format_time, parse_time


def backfill_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline")
    parser.add_argument(
        "--from", required=True, dest="start", metavar="TIME", help="2026-01-31 or 2026-01-31T06:00:00Z"
    )
    parser.add_argument("--to", default="", dest="end", metavar="TIME", help="the last time (default: now)")
    parser.add_argument("--input", default="", metavar="NAME", help="one cron input (default: all)")
    parser.add_argument("--dry-run", action="store_true", help="only say which ticks are missing")
    parser.add_argument(
        "--wait", action="store_true", help="wait for the jobs of the ticks, and say how each went"
    )
    flags.add_project(parser)


def backfill(session: Session, arguments: Namespace) -> int | None:
    start = _time(arguments.start)
    end = _time(arguments.end) if arguments.end else int(time.time() * 1e9)
    if end < start:
        raise Usage("--to is before --from")
    gaps = find_gaps(session.connection, arguments.pipeline, start, end, arguments.input)
    made: list[str] = []
    for gap in gaps:
        made += _fill(session, gap, only_tell=arguments.dry_run)
    return _wait(session, made) if arguments.wait and made else None


def _time(text: str) -> int:
    """Read a time, or a day: its beginning, in UTC."""
    found = parse_time(text)
    if found is None and (found := parse_time(f"{text}T00:00:00Z")) is None:
        raise Usage(
            f"{text!r} is no time", hint="write 2026-01-31, 2026-01-31T06:00:00Z or 2026-01-31T07:00:00+01:00"
        )
    return found


def _fill(session: Session, gap: Gap, *, only_tell: bool) -> list[str]:
    name, count = gap.cron.name, len(gap.missing)
    if not count:
        session.print(f"{name}: no tick is missing")
        return []
    span = f"{format_time(gap.missing[0])} to {format_time(gap.missing[-1])}"
    ticks = f"{count} tick{'s' * (count != 1)}"
    if only_tell:
        session.print(f"{name}: {ticks} would be made, {span}")
        return []

    def show(number: int, tick: str) -> None:
        session.progress.step(f"{name}: tick {number} of {count}, {tick}")

    made = fill(session.connection, gap, show)
    session.progress.close()
    session.print(f"{name}: {ticks} made, {span}")
    return made


def _wait(session: Session, made: list[str]) -> int:
    """Wait for one commit set after the other, as their jobs run in that order; return the exit status."""
    failed: list[tuple[int, Outcome]] = []
    for number, identifier in enumerate(made, 1):
        session.progress.step(f"jobs of tick {number} of {len(made)}")
        outcomes = wait_for(session.connection, [identifier])
        failed += [(number, each) for each in outcomes if not each.succeeded]
    session.progress.close()
    for number, each in failed:
        state = each.state.removeprefix("JOB_").lower()
        session.say(f"tick {number} of {len(made)}: {each.pipeline}@{each.job}: {state}: {each.reason}")
    ticks = f"{len(made)} tick{'s' * (len(made) != 1)}"
    session.print(f"the jobs of {ticks} are over, {len(failed)} without success")
    return 1 if failed else 0
