"""blame: what differs between two files, or two versions of one: data, parameters, spec, code, packages, machine.

Read next: pachlet/client/lineage/blame.py, trace.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

from pachlet.cli import flags
from pachlet.cli.output import show_value
from pachlet.cli.session import Session
from pachlet.client.lineage.blame import LIMIT, NOTHING, Blame, Cause
from pachlet.client.lineage.blame import blame as compare
from pachlet.errors import Usage


def blame_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "before",
        metavar="repo@A..B[:path]",
        help="two commits, or one place, with the other after it",
    )
    parser.add_argument("after", nargs="?", default="", metavar="repo@commit[:path]", help="the other place")
    parser.add_argument(
        "--limit",
        type=flags.count,
        default=LIMIT,
        metavar="N",
        help=f"datums to compare behind a folder ({LIMIT}; 0 is all)",
    )
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the answer as data")
    flags.add_project(parser)


def blame(session: Session, arguments: Namespace) -> None:
    before, after = places(arguments.before, arguments.after)
    found = compare(session.connection, before, after, limit=arguments.limit)
    if arguments.output:
        show_value(session, arguments.output, asdict(found))
        return
    for line in told(found):
        session.print(line)


def places(before: str, after: str) -> tuple[str, str]:
    """Return the two places that were typed, as one or as two words."""
    if after:
        return before, after
    where, at, rest = before.partition("@")
    commits, colon, path = rest.partition(":")
    old, dots, new = commits.partition("..")
    if not (at and dots and old and new):
        raise Usage(
            f"{before!r} is no pair of places",
            hint="write repo@A..B:/path, or two places: repo@A:/x repo@B:/y",
        )
    return f"{where}@{old}{colon}{path}", f"{where}@{new}{colon}{path}"


def told(found: Blame) -> Iterator[str]:
    """Yield the answer in lines, the nearest cause first."""
    yield f"{found.before} -> {found.after}: {'the same content' if found.is_same else 'different'}"
    if not found.causes:
        yield "nothing that was recorded differs" + (
            "" if found.is_same else ": the step does not always give the same result"
        )
    for where, causes in groupby(found.causes, key=lambda cause: (cause.depth, cause.where)):
        yield f"{where[1]}:"
        yield from (f"  {_line(cause)}" for cause in causes)
    if found.is_partial:
        yield "not all datums behind a folder were compared (--limit 0 compares all)"


def _line(cause: Cause) -> str:
    name = f"{cause.what}: " if cause.what else ""
    change = f"{cause.before} -> {cause.after}"
    if cause.before == NOTHING:
        change = "added" if cause.after == "added" else f"added ({cause.after})"
    elif cause.after == NOTHING:
        change = "removed" if cause.before == "removed" else f"removed (was {cause.before})"
    return f"{cause.kind:<9} {name}{change}{f', by {cause.by}' if cause.by else ''}"
