"""fsck: look for damage in what a server stores.

Upstream ends with status 0 whatever is found; a script should notice, so here it is 1.

Read next: pachlet/pfs/checking.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.client import storage
from pachlet.errors import Corrupt, Usage

fsck_status = "0 when nothing is wrong, 1 when something is or the check failed, 2 when the words are off."


def fsck_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--fix", action="store_true", help="accepted and ignored, as in pachctl")
    parser.add_argument(
        "--zombie-all",
        action="store_true",
        help="also look for output files of datums that are not in meta commits",
    )
    parser.add_argument(
        "--zombie", default="", metavar="REPO@COMMIT", help="the same, in one output commit only"
    )
    parser.add_argument("--read", action="store_true", help="also read every chunk and check its hash")
    flags.add_project(parser)


def fsck(session: Session, arguments: Namespace) -> None:
    if arguments.zombie and arguments.zombie_all:
        raise Usage("either check all pipelines for zombie files or provide a single commit")
    faults = 0
    for answer in storage.fsck(session.connection, zombies=arguments.zombie_all, zombie=arguments.zombie):
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
