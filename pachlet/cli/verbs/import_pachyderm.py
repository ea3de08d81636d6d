"""import: copy repos with their history, and pipeline specs, from another Pachyderm 2.x.

Run it again at any time: only what is new is copied. What pipelines made is not copied but made anew when
their specs are applied; client/importing/specs.py says why.

Read next: pachlet/client/importing/everything.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from pachlet.cli import flags
from pachlet.cli.output import size
from pachlet.cli.session import Session

if TYPE_CHECKING:
    from pachlet.client.importing.history import Copied

do_import_status = (
    "0 when all is copied, 1 when something is wrong, also with one repo only, 2 when the words are off."
)


def do_import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("repos", nargs="*", metavar="repo", help="only these repos (default: all)")
    parser.add_argument(
        "--from", dest="source", required=True, metavar="grpc://HOST:PORT", help="where to copy from"
    )
    parser.add_argument(
        "--specs",
        type=Path,
        default=Path("imported-specs"),
        metavar="DIR",
        help="where to write pipeline specs (default: imported-specs)",
    )
    flags.add_project(parser)


def do_import(session: Session, arguments: Namespace) -> int:
    from pachlet.client.context import context_of
    from pachlet.client.importing.everything import import_from

    advance = session.progress.bytes("import")

    def tell(copied: Copied) -> None:
        session.progress.close()
        session.print(_line(copied))
        for note in copied.notes:
            session.say(f"{copied.repo}: {note}")
        session.out.flush()

    with session.telling(context_of(session.environ, arguments.source).connect()) as source:
        done = import_from(
            source,
            session.connection,
            project=arguments.project,
            wanted=arguments.repos,
            specs=arguments.specs,
            advance=advance,
            tell=tell,
        )
    session.progress.close()
    if done.specs:
        plural = "s" if len(done.specs) > 1 else ""
        session.print(f"{len(done.specs)} pipeline spec{plural} in {arguments.specs}")
        left_out = ", ".join(done.left_out)
        session.say(
            f"not copied, since pipelines make them: {left_out};"
            f" `{session.program} apply {arguments.specs}` makes them here"
        )
    for repo, error in done.failed.items():
        hint = f"; {error.hint}" if error.hint else ""
        session.say(f"{repo} is not copied whole: {error.message}{hint}")
    return int(bool(done.failed))


def _line(copied: Copied) -> str:
    if not copied.commits:
        return f"{copied.repo}: nothing new"
    plural = "s" if copied.commits > 1 else ""
    new = "new " if copied.known else ""
    return f"{copied.repo}: {copied.commits} {new}commit{plural}, {size(copied.bytes)}"
