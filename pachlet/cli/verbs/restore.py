"""restore: make a data directory of a backup, without any server, and check all of it.

What is damaged is told and does not come back; everything else does, and the status is 1 then.

Like serve, this knows the engine: the data directory is on this machine and no server may be running on it.

Read next: pachlet/pfs/restoring.py, serve.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.serve import add_data_dir
from pachlet.errors import Corrupt

restore_status = "0 when all came back, 1 when some is damaged or nothing came, 2 when the words are off."


def restore_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=flags.folder, help="the backup")
    add_data_dir(parser)


def restore(session: Session, arguments: Namespace) -> None:
    from pachlet.server import restore as restore_data

    def report(step: str, done: int, total: int) -> None:
        session.progress.step(f"{step} {100 * done // total} %" if total else step)

    restored = restore_data(arguments.folder, arguments.data_dir, report)
    session.progress.close()
    for fault in restored.faults:
        session.print(f"Error: {fault}")
    if restored.faults:
        raise Corrupt(
            f"the backup is damaged: {arguments.data_dir} is restored without what is named above",
            hint="put these files again, or restore them from another backup",
        )
    session.print(
        f"{arguments.data_dir} is restored; all {restored.chunks} chunks and every tree were checked"
    )
