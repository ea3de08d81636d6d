"""worker: run datums for a server in a process of its own, which shares no disk with it.

Read next: pachlet/remote/process.py, docs/workers.md.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.config import default_envs, default_workers
from pachlet.errors import Usage


def worker_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--server", default=None, metavar="ADDRESS", help="whom to work for (default: the active context's)"
    )
    parser.add_argument(
        "--workers",
        type=flags.workers,
        default=None,
        metavar="N",
        help="datums at a time (default: by cores)",
    )
    parser.add_argument(
        "--data-dir",
        type=flags.folder,
        default=None,
        metavar="D",
        help="where code and the datum in hand lie (default: a folder that is removed at the end)",
    )
    parser.add_argument(
        "--envs", type=Path, default=None, metavar="DIR", help="where images' environments are kept"
    )


def worker(session: Session, arguments: Namespace) -> None:
    from pachlet.remote.process import run_worker

    workers = default_workers() if arguments.workers is None else arguments.workers
    if workers < 1:
        raise Usage("at least one worker is needed")
    address = arguments.server or str(session.connection.address)
    with tempfile.TemporaryDirectory(prefix="pachlet-worker-") as temporary:
        run_worker(
            address,
            (arguments.data_dir or Path(temporary)).absolute(),
            (arguments.envs or default_envs()).absolute(),
            workers,
            "",
            lambda name: session.say(f"worker {name} works for {address}, {workers} datums at a time"),
        )
