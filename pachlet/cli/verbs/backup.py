"""backup: write all that a server keeps into a folder, while it serves.

What is damaged there is told, and saved as it is with everything else; the status is 1 then, so that nobody rotates
good backups away for it unawares.

Read next: pachlet/client/backup.py, restore.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.output import size
from pachlet.cli.session import Session
from pachlet.client.backup import back_up
from pachlet.errors import Corrupt

backup_status = (
    "0 when all is saved, 1 when some of it is damaged or the backup failed, 2 when the words are off."
)


def backup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=flags.folder,
        help="where to; a folder with an earlier backup gets what has changed since",
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
    for fault in summary.faults:
        session.print(f"Error: {fault}")
    if summary.faults:
        raise Corrupt(
            "what the server keeps is damaged; all but what is named above is in the backup",
            hint="put these files again, and keep the backups of before until you have",
        )
