"""restore: make a data directory of a backup, without any server, and check all of it.

Like serve, this knows the engine: the data directory is on this machine and no server may be running on it.

Read next: pachlet/pfs/restoring.py, serve.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli.session import Session
from pachlet.cli.verbs.serve import add_data_dir


def restore_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the backup")
    add_data_dir(parser)


def restore(session: Session, arguments: Namespace) -> None:
    from pachlet.server import restore as restore_data

    def report(step: str, done: int, total: int) -> None:
        session.progress.step(f"{step} {100 * done // total} %" if total else step)

    chunks = restore_data(arguments.folder, arguments.data_dir, report)
    session.progress.close()
    session.print(f"{arguments.data_dir} is restored; all {chunks} chunks and every tree were checked")
