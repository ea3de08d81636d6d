"""backup: write all that a server keeps into a folder, while it serves.

Read next: pachlet/client/backup.py, restore.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli.output import size
from pachlet.cli.session import Session
from pachlet.client.backup import back_up


def backup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, help="where to; a folder with an earlier backup gets what has changed since"
    )


def backup(session: Session, arguments: Namespace) -> None:
    summary = back_up(
        session.connection, arguments.folder, lambda total: session.progress.bytes("backup", total)
    )
    session.progress.close()
    session.print(
        f"{arguments.folder} holds a backup of {size(summary.bytes)} in {summary.files} files; "
        f"{size(summary.sent)} were new"
    )
