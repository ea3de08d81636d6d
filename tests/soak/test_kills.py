"""Kill -9 at random moments of the main job, again and again: the result is that of an undisturbed run.

Read next: ../acceptance/test_main_job.py (one kill at a chosen moment, in every run of the suite).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from pachlet.client import files, jobs
from pachlet.client.connection import Connection
from tests.acceptance.clone import Clone

pytestmark = pytest.mark.soak
PIPELINES = (
    "ingest",
    "audit",
    "standardise",
    "split",
    "train-naive",
    "train-linear",
    "train-svm",
    "train-lstm",
    "predict",
)
KILLS = 8


def outputs(clone: Clone) -> dict[str, str]:
    """Return the hash of every output file."""
    found = {}
    with Connection(clone.server()["address"], project="crypto") as crypto:
        for pipeline in PIPELINES:
            for info in files.walk_file(crypto, f"{pipeline}@master:/"):
                if not info.file.path.endswith("/"):
                    found[f"{pipeline}:{info.file.path}"] = info.hash.hex()
        assert all(jobs.state_of(info) in ("JOB_SUCCESS", "JOB_KILLED") for info in jobs.list_job(crypto))
    return found


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
