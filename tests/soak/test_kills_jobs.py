"""Kill -9 of the server and of workers while jobs run, are stopped and updated: all is there once, and all ends.

After each kill nothing that ran is alive, what had ended is as it was, and what was recorded is not run again. At the
end every job has ended, with numbers that add up and the output that its input says.

Read next: jobs_at_work.py (what is killed), ../acceptance/test_durability.py (kills at chosen moments).
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from tests.acceptance.processes import wait_until_none_is_marked
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.worker_process import WorkerProcess
from tests.soak.jobs_at_work import Told, begin, check_all_ended, check_standing, disturb, read_told

SECONDS_TO_END = 120.0


class Killing:
    """A data directory, and what works on it until it is killed."""

    def __init__(self, folder: Path, seed: int, own: int, remote: int) -> None:
        self.data = folder / "data"
        self.mark = f"killing-{secrets.token_hex(8)}"
        self.told = Told()
        self.killed = Counter[str]()
        self._folder = folder
        self._chance = random.Random(seed)
        self._own, self._remote = own, remote
        self._workers: list[WorkerProcess] = []
        self._port = 0

    def live(self, *, is_last: bool = False) -> None:
        """Start the server, disturb it, and kill it at a random moment; the last time wait until all has ended."""
        own = ["--workers", f"{self._own}"]
        with (
            ServerProcess(self.data, *own, port=self._port) as server,
            Connection(server.address) as connection,
        ):
            self._port = int(server.address.rpartition(":")[2])
            self._staff(server.address)
            if not self.killed:
                begin(connection, self.mark)
            if is_last:
                print("jobs:", check_all_ended(connection, SECONDS_TO_END))
                check_standing(connection, SECONDS_TO_END)
                self._end_workers()
                assert server.terminate() == 0
            else:
                self._disturb_and_kill(server, connection)
        if self._remote == 0 or is_last:
            wait_until_none_is_marked(self.mark)
        later = read_told(self.data)
        self.told.check_later(later)
        self.told = later
        self.killed["with unfinished jobs"] += later.unfinished > 0

    def _disturb_and_kill(self, server: ServerProcess, connection: Connection) -> None:
        dead, chance = threading.Event(), random.Random(self._chance.random())
        refusals: list[str] = []

        def disturb_steadily() -> None:
            while not dead.wait(chance.expovariate(5)):
                try:
                    disturb(connection, chance, self.mark)
                except PachletError as error:  # what a user asks for may be refused
                    refusals.append(error.message)

        moment = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            user = pool.submit(disturb_steadily)
            if self._workers and self._chance.random() < 0.7:
                moment.wait(self._chance.expovariate(2))
                self._kill_a_worker()
                self._staff(server.address)
            moment.wait(0.4 + self._chance.expovariate(2))
            dead.set()
            server.kill()
            assert server.process.returncode == -signal.SIGKILL, "the server had ended by itself"
            self.killed["server"] += 1
        user.result()
        assert not [each for each in refusals if "bug of pachlet" in each]

    def _staff(self, address: str) -> None:
        while len(self._workers) < self._remote:
            folder = self._folder / f"worker{self.killed['worker']}-{len(self._workers)}"
            self._workers.append(WorkerProcess(address, self.data, folder))

    def _kill_a_worker(self) -> None:
        worker = self._workers.pop(self._chance.randrange(len(self._workers)))
        assert worker.end(signal.SIGKILL) == -signal.SIGKILL
        self.killed["worker"] += 1

    def _end_workers(self) -> None:
        while self._workers:
            assert self._workers.pop().end() == 0

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
            worker.process.communicate()


@pytest.mark.parametrize(
    "own, remote, kills",
    [
        pytest.param(1, 1, 2, id="sample"),
        pytest.param(2, 0, 60, id="sessions", marks=pytest.mark.soak),
        pytest.param(0, 2, 40, id="workers", marks=pytest.mark.soak),
        pytest.param(1, 2, 40, id="both", marks=pytest.mark.soak),
    ],
)
def test_each_output_is_there_once_and_each_job_ends_once_whatever_is_killed(
    tmp_path: Path, own: int, remote: int, kills: int
) -> None:
    """`own` workers are threads of the server, whose sessions are killed with it; `remote` ones are processes."""
    first = int(os.environ.get("PACHLET_SOAK_SEED", "0"))
    killing = Killing(tmp_path, 20261126 + first, own, remote)
    try:
        for _ in range(kills):
            killing.live()
        killing.live(is_last=True)
    finally:
        killing.close()
    print("kills:", dict(killing.killed))
    assert killing.killed["with unfinished jobs"] > 0
