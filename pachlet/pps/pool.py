"""The workers of the server's own process: as many as datums may run at the same time.

Read next: ../worker/working.py (what each does), leases.py (who gives them work).
"""

from __future__ import annotations

import threading
from pathlib import Path

from pachlet.pps.leases import Leases
from pachlet.worker.companion import Companions
from pachlet.worker.head import NearHead, NoMoreWork
from pachlet.worker.interface import Runner
from pachlet.worker.process import ProcessRunner
from pachlet.worker.warm import Sessions
from pachlet.worker.working import Worker


class Pool:
    """Threads that work, and what they have at work beside this process."""

    def __init__(self, workers: int, head: NearHead, leases: Leases, runner: Runner, scratch: Path) -> None:
        self._leases = leases
        companions = Companions(runner, head) if isinstance(runner, ProcessRunner) else None
        self._sessions = Sessions.of_workers(scratch, workers)
        self._threads = [
            threading.Thread(
                target=_run,
                args=(Worker(f"local-{number}", head, runner, self._sessions, companions),),
                name=f"worker-{number}",
                daemon=True,
            )
            for number in range(workers)
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def renew_sessions(self) -> None:
        """Empty the scratch folders: at once, or once the datum is done that is being run."""
        self._sessions.renew()

    def close(self) -> None:
        """Stop working; leases that are in hand must have been withdrawn, or it waits for their datums."""
        self._leases.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._sessions.close_idle(0.0)


def _run(worker: Worker) -> None:
    try:
        worker.run()
    except NoMoreWork:
        return
