"""Kill -9 at random moments of the main job, again and again: the result is that of an undisturbed run.

Read next: ../acceptance/test_main_job.py and test_whole_company.py beside it (kills at chosen moments, in every run of
the suite).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from pachlet.client import jobs, pipelines
from pachlet.client.connection import Connection
from pipelines.main_job import apply
from tests.acceptance.clone import Clone
from tests.acceptance.made import made
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.test_whole_company import SILENT, begin, chosen, forecast, made_up
from tests.acceptance.worker_process import WorkerProcess

pytestmark = pytest.mark.soak
KILLS = 8


def outputs(clone: Clone) -> dict[str, bytes]:
    """Return every output file of every pipeline, but for the ids of the commits that it names."""
    with Connection(clone.server()["address"], project="crypto") as crypto:
        assert all(jobs.state_of(info) in ("JOB_SUCCESS", "JOB_KILLED") for info in jobs.list_job(crypto))
        return made(crypto, [info.pipeline.name for info in pipelines.list_pipeline(crypto)])


def test_the_main_job_survives_kills_at_random_moments(tmp_path: Path) -> None:
    calm, killed = Clone(tmp_path / "calm"), Clone(tmp_path / "killed")
    chance = random.Random(20261121)
    try:
        assert calm.main_job().returncode == 0
        for _ in range(KILLS):
            running = killed.start_main_job()
            try:
                running.communicate(timeout=chance.uniform(1.0, 12.0))
            except subprocess.TimeoutExpired:
                if (killed.data_dir / "server.json").exists():
                    os.kill(int(killed.server()["pid"]), signal.SIGKILL)
                running.communicate(timeout=120)
        done = killed.main_job()
        assert done.returncode == 0, done.stdout + done.stderr
        assert outputs(killed) == outputs(calm)
    finally:
        calm.stop()
        killed.stop()


def test_the_company_survives_kills_of_workers_and_server(tmp_path: Path) -> None:
    """A worker beside the server's own is killed, or the server, or both, again and again; no TensorFlow here."""
    chance = random.Random(20261126)
    prices = {f"prices:{path}": content for path, content in made_up(tmp_path / "made", 130).items()}
    with (
        ServerProcess(tmp_path / "calm") as server,
        Connection(server.address, project="crypto") as crypto,
    ):
        begin(crypto, prices | chosen())
        forecast(crypto)
        every = [info.pipeline.name for info in pipelines.list_pipeline(crypto)]
        calm = made(crypto, every)
    for number in range(KILLS):
        with (
            ServerProcess(tmp_path / "killed", "--workers", "1") as server,
            Connection(server.address, project="crypto") as crypto,
        ):
            if number == 0:
                begin(crypto, prices | chosen())
                apply(crypto, SILENT, before_live=True)
            worker = WorkerProcess(server.address, tmp_path / "killed", tmp_path / f"worker{number}")
            moment = threading.Event()
            moment.wait(chance.uniform(0.5, 4.0))
            assert worker.end(signal.SIGKILL) == -signal.SIGKILL
            moment.wait(chance.uniform(0.0, 2.0))
            server.kill()
    with ServerProcess(tmp_path / "killed") as server, Connection(server.address, project="crypto") as crypto:
        forecast(crypto)
        again = made(crypto, every)
        assert [path for path in calm if again.get(path) != calm[path]] == []
        assert again.keys() == calm.keys()
