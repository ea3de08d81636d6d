"""Inspect, list, follow, stop and wait for jobs and job sets.

A job is what one pipeline does for one commit set; its id is the id of the set and of its output commit. A
job set is all jobs of one id: what one change of data set off downstream.

Read next: watch.py (waiting with a view), datums.py, logs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message

SERVICE = "pps_v2.API"

SUCCESS = "JOB_SUCCESS"
KILLED = "JOB_KILLED"
TERMINAL = frozenset({SUCCESS, KILLED, "JOB_FAILURE", "JOB_UNRUNNABLE"})


def state_of(info: Message) -> str:
    """Return the name of a job's state, such as JOB_RUNNING."""
    from pachlet.wire import schema

    return schema.enum_name("pps_v2.JobState", info.state)


def is_terminal(info: Message) -> bool:
    """Tell whether a job will not change any more."""
    return state_of(info) in TERMINAL


def inspect_job(connection: Connection, job: str, *, wait: bool = False, details: bool = True) -> Message:
    """Return a JobInfo; with `wait`, once the job is over."""
    request = {"job": names.job(connection.project, job), "wait": wait, "details": details}
    return connection.call(SERVICE, "InspectJob", request)


def list_job(
    connection: Connection,
    pipeline: str = "",
    *,
    inputs: Sequence[str] = (),
    history: int = 0,
    number: int = 0,
    details: bool = True,
    all_projects: bool = False,
) -> Iterator[Message]:
    """Yield a JobInfo for each job, newest first; `inputs` are commits that must be upstream of it."""
    request: dict[str, Any] = {
        "input_commit": [names.commit(connection.project, commit) for commit in inputs],
        "history": history,
        "details": details,
        "number": number,
    }
    if pipeline:
        request["pipeline"] = names.pipeline(connection.project, pipeline)
    if not all_projects:
        request["projects"] = [
            request["pipeline"]["project"] if pipeline else names.project(connection.project)
        ]
    yield from connection.call(SERVICE, "ListJob", request)


def inspect_jobset(
    connection: Connection, identifier: str, *, wait: bool = False, details: bool = False
) -> Iterator[Message]:
    """Yield a JobInfo for each job of a set, upstream ones first; none if the set has no jobs."""
    request = {"job_set": {"id": identifier}, "wait": wait, "details": details}
    yield from connection.call(SERVICE, "InspectJobSet", request)


def list_jobset(connection: Connection, *, number: int = 0, all_projects: bool = False) -> Iterator[Message]:
    """Yield a JobSetInfo for each job set, newest first."""
    projects = [] if all_projects else [names.project(connection.project)]
    yield from connection.call(SERVICE, "ListJobSet", {"projects": projects, "number": number})


def subscribe_job(connection: Connection, pipeline: str, *, details: bool = False) -> Iterator[Message]:
    """Yield a JobInfo for each unfinished job of a pipeline and then for each new one, without end."""
    request = {"pipeline": names.pipeline(connection.project, pipeline), "details": details}
    yield from connection.call(SERVICE, "SubscribeJob", request)


def stop_job(connection: Connection, job: str, *, reason: str = "") -> None:
    """Kill a job; one that is over already is left as it is."""
    connection.call(SERVICE, "StopJob", {"job": names.job(connection.project, job), "reason": reason})


def delete_job(connection: Connection, job: str) -> None:
    """Remove the record of a job; its output stays."""
    connection.call(SERVICE, "DeleteJob", {"job": names.job(connection.project, job)})
