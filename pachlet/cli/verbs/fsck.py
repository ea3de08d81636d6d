"""fsck: look for damage in what a server stores.

Read next: pachlet/pfs/checking.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli.session import Session
from pachlet.client import storage
from pachlet.errors import Corrupt


def fsck_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--fix", action="store_true", help="accepted and ignored, as in pachctl")
    parser.add_argument(
        "--zombie-all",
        action="store_true",
        help="also look for output files of datums that are not in meta commits",
    )
    parser.add_argument("--read", action="store_true", help="also read every chunk and check its hash")


def fsck(session: Session, arguments: Namespace) -> None:
    faults = 0
    for answer in storage.fsck(session.connection, zombies=arguments.zombie_all):
        if answer.error:
            faults += 1
            session.print(f"Error: {answer.error}")
        else:
            session.print(f"Fix applied: {answer.fix}")
    if arguments.read:
        count = storage.check_chunks(session.connection)
        session.say(f"all {count} chunks are as they were written")
    if faults:
        raise Corrupt(
            f"{faults} faults were found", hint="restore what is lost from a backup, or put it again"
        )
    session.print("No errors found.")
