"""The states of pipelines, jobs and datums, in Pachyderm's words.

Read next: jobs.py (who moves jobs from one to the next).
"""

from __future__ import annotations

from enum import StrEnum


class PipelineState(StrEnum):
    """What a pipeline is doing.

    A cluster says of its pods: they come up, run, are gone, can't be had. Here a pipeline is STARTING until the first
    job of its version begins, RESTARTING when the server was stopped in the middle of a job and takes it up again,
    and CRASHING when something keeps its jobs from running (obstacles.py), until that is mended. STANDBY and PAUSED are
    not stored: an autoscaling pipeline without work is the one, a stopped pipeline the other.
    """

    STARTING = "starting"
    RUNNING = "running"
    STANDBY = "standby"
    PAUSED = "paused"
    RESTARTING = "restarting"
    CRASHING = "crashing"
    FAILURE = "failure"


class JobState(StrEnum):
    """Where a job stands."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    EGRESSING = "egressing"
    FINISHING = "finishing"
    SUCCESS = "success"
    FAILURE = "failure"
    KILLED = "killed"
    UNRUNNABLE = "unrunnable"

    @property
    def is_terminal(self) -> bool:
        """Tell whether nothing more will happen to the job."""
        return self in (JobState.SUCCESS, JobState.FAILURE, JobState.KILLED, JobState.UNRUNNABLE)


class DatumState(StrEnum):
    """How a datum ended; a datum of an earlier job that was kept is `success`, made by that job."""

    SUCCESS = "success"
    FAILED = "failed"
    RECOVERED = "recovered"
