"""The process of a remote worker: connect, work until told to stop, leave nothing behind.

Read next: head.py, ../worker/working.py (what each of its threads does).
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pachlet.client.connection import Connection
from pachlet.ending import Ending
from pachlet.errors import FailedPrecondition
from pachlet.remote.head import RemoteHead
from pachlet.worker.head import NoMoreWork
from pachlet.worker.process import ProcessRunner
from pachlet.worker.warm import Sessions
from pachlet.worker.working import Worker


def run_worker(
    address: str, folder: Path, envs: Path, workers: int, token: str, ready: Callable[[str], None]
) -> None:
    """Work for the server at `address` until SIGTERM or SIGINT; `ready` gets the worker's name.

    Raises:
        FailedPrecondition: the folder can't be used.
        Unavailable: there is no such server now.
        Unimplemented: that server has no remote workers.
    """
    ending = Ending()
    scratch, code = folder / "scratch", folder / "no-code"
    try:
        if (
            scratch.is_dir() and any(scratch.iterdir()) and not code.exists()
        ):  # of a server, or of no pachlet at all
            raise FailedPrecondition(
                f"the folder {folder} is not of a worker, and scratch/ in it holds files, which a worker would remove",
                hint="choose another with --data-dir, best a new one",
            )
        shutil.rmtree(scratch, ignore_errors=True)
        for each in (scratch, code):
            each.mkdir(parents=True, exist_ok=True)
            each.chmod(0o700)  # other users shall not start a program that a step wrote (server.py)
    except OSError as error:
        raise FailedPrecondition(
            f"the folder {folder} can't be used: {error.strerror}", hint="choose another with --data-dir"
        ) from None
    # The runner starts a process of its own to make sandboxes with; it does so before gRPC has threads.
    with closing(ProcessRunner(code, envs)) as runner:
        runner.probe()
        _work_for(address, folder, scratch, runner, workers, token, ready, ending)


def _work_for(
    address: str,
    folder: Path,
    scratch: Path,
    runner: ProcessRunner,
    workers: int,
    token: str,
    ready: Callable[[str], None],
    ending: Ending,
) -> None:
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    with Connection(address, token=token) as connection:
        _see_whether_it_answers(connection, name)
        head = RemoteHead(connection, runner, folder / "code")
        sessions = Sessions.of_workers(scratch, workers)
        threads = [
            threading.Thread(
                target=_work, args=(Worker(f"{name}-{number}", head, runner, sessions),), daemon=True
            )
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        ready(name)
        ending.wait()
        head.close()
        runner.halt()
        for thread in threads:
            thread.join()
        sessions.close_idle(0.0)


def _see_whether_it_answers(connection: Connection, name: str) -> None:
    """Ask for work that is for nobody, so that a wrong address is told at once."""
    connection.call("pachlet.v1.Work", "GiveBack", {"token": "none of mine"}, timeout=10)


def _work(worker: Worker) -> None:
    try:
        worker.run()
    except NoMoreWork:
        return
