"""du: show what each repo takes on disk, alone and together with others.

Read next: pachlet/pfs/usage.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.output import Table, show_raw, size, wants_raw
from pachlet.cli.session import Session
from pachlet.client import storage
from pachlet.errors import Corrupt


def du_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="spec and meta repos as well")
    flags.add_output(parser)


def du(session: Session, arguments: Namespace) -> None:
    repos, totals = storage.disk_usage(session.connection)
    shown = [each for each in repos if arguments.all or each.repo.type == "user"]
    if wants_raw(arguments):
        show_raw(session, arguments, [*shown, totals])
        return
    table = Table(session, "PROJECT", "REPO", "COMMITS", "HEAD", "ALL COMMITS", "UNIQUE", "SHARED")
    for each in sorted(shown, key=lambda each: -each.unique_bytes):
        name = each.repo.name if each.repo.type == "user" else f"{each.repo.name}.{each.repo.type}"
        sizes = (each.head_bytes, each.logical_bytes, each.unique_bytes, each.shared_bytes)
        table.add(each.repo.project.name, name, str(each.commits), *map(size, sizes))
    table.show()
    session.print(
        f"files and trees: {size(totals.stored_bytes)} stored, {size(totals.other_bytes)} that no repo needs; "
        f"on disk: packs {size(totals.pack_bytes)}, database {size(totals.database_bytes)}"
    )
    if totals.damaged_nodes:
        raise Corrupt(
            f"{totals.damaged_nodes} pieces of trees are damaged; what lies below them counts as needed by no repo",
            hint="`pachctl fsck` says which commits they belong to",
        )
