"""Both published clients, unmodified, create, watch, read, stop, start, update and delete pipelines."""

from __future__ import annotations

from typing import Any

from pachlet.testing import RunningServer
from tests.clients.test_clients import run

LIFE = {
    "first": ["JOB_SUCCESS", 1, 0, 0],
    "inspected": [1, "copies", ["sh"], "PIPELINE_RUNNING"],
    "listed": ["copy"],
    "followed": ["JOB_SUCCESS", 1, 1, 0],
    "set": ["copy"],
    "datums": ["SKIPPED", "SUCCESS"],
    "read": ["/b"],
    "logs": ["copied"],
    "stopped": "PIPELINE_PAUSED",
    "while stopped": False,
    "started": ["JOB_SUCCESS", 1, 2, 0],
    "running": "PIPELINE_RUNNING",
    "updated": [2, "JOB_SUCCESS", 0, 3, 0],
    "reprocessed": ["JOB_SUCCESS", 3, 0, 0],
    "at work": "JOB_RUNNING",
    "killed": ["JOB_KILLED", "enough"],
    "failed": ["JOB_FAILURE", True],
    "unrunnable": "JOB_UNRUNNABLE",
    "jobs left": 0,
    "kept": "2",
    "refused": True,
    "left": [0, ["copy", "in"]],
}
"""What each of them sees: jobs with the numbers of datums that ran, were kept and failed."""


def check(seen: dict[str, Any]) -> None:
    assert seen == LIFE


def test_python_pachyderm_follows_a_pipeline_through_its_life(server: RunningServer) -> None:
    check(run("python-pachyderm", "life_python_pachyderm.py", server))


def test_pachyderm_sdk_follows_a_pipeline_through_its_life(server: RunningServer) -> None:
    seen = run("pachyderm-sdk", "life_pachyderm_sdk.py", server)
    assert (seen.pop("subscribed"), seen.pop("exists")) == (True, False)
    assert seen.pop("rerun") == LIFE["reprocessed"]
    check(seen)
