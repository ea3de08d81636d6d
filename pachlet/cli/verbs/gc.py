"""gc: give back the space of what nothing refers to any more.

Read next: pachlet/pfs/collecting.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import show_one, size
from pachlet.cli.session import Session
from pachlet.client import storage
from pachlet.client.connection import Message
from pachlet.errors import Corrupt

gc_status = "0 when all is well, 1 when damage was met or the collection failed, 2 when the words are off."


def gc_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--grace",
        type=flags.duration,
        metavar="TIME",
        help="how long to wait for those who read what was deleted (default 10m)",
    )
    parser.add_argument(
        "--slack",
        type=flags.whole,
        metavar="PERCENT",
        help="how much of a pack may be garbage before it is written anew (default 20)",
    )
    flags.add_output(parser)


def gc(session: Session, arguments: Namespace) -> None:
    report = storage.collect_garbage(
        session.connection,
        lambda progress: session.progress.step(_step(progress)),
        dry_run=arguments.dry_run,
        grace=arguments.grace,
        slack_percent=arguments.slack,
    )
    session.progress.close()
    show_one(session, arguments, report, _lines)
    if report.faults:
        raise Corrupt(
            f"{len(report.faults)} faults were found; what they concern was left alone",
            hint="restore what is lost from a backup, or put it again",
        )


def _step(progress: Message) -> str:
    of = f" of {progress.total}" if progress.total else ""
    return f"{progress.step} {progress.done}{of}" if progress.done or progress.total else progress.step


def _lines(report: Message) -> Iterator[str]:
    would = "would be " if report.dry_run else ""
    freed = report.disk_bytes_before - report.disk_bytes_after
    yield f"{size(max(freed, 0))} {would}freed, {size(report.disk_bytes_after)} {'would ' * report.dry_run}stay"
    yield f"  chunks {would}forgotten: {report.chunks} ({size(report.chunk_bytes)})"
    yield f"  pieces of trees {would}forgotten: {report.nodes} ({size(report.node_bytes)})"
    yield f"  packs {would}removed: {report.packs_removed}, written anew: {report.packs_rewritten}"
    if report.kept:
        yield "kept:"
    for each in report.kept:
        yield f"  {each.reason}: {size(each.bytes)}"
    for fault in report.faults:
        yield f"Error: {fault}"
