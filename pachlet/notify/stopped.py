"""Tell which jobs of a set are broken: not those that somebody stopped, nor those behind them.

A job is stopped by `stop job`, by an update or a stop of its pipeline; what is downstream of it can't run, and its
reason calls the stopped one failed. So what each needed is looked up, also where that ended in an earlier set.

Read next: broken.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pachlet.client import names
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection, Message
from pachlet.client.jobs import inspect_job, state_of
from pachlet.client.pipelines import pfs_inputs
from pachlet.errors import NotFound

UNRUNNABLE = "JOB_UNRUNNABLE"
_LACKING = ("JOB_FAILURE", "JOB_KILLED", UNRUNNABLE)
_TIMED_OUT = "job timed out"
"""The reason of a job that is killed though nobody stopped it; Pachyderm's own."""


def broken_jobs(connection: Connection, infos: Sequence[Message]) -> Iterator[Message]:
    """Yield the broken jobs of a set, those that failed first."""
    yield from (each for each in infos if has_failed(each))
    seen: dict[str, bool] = {}
    for each in infos:
        if state_of(each) == UNRUNNABLE and not _is_behind_stopped(connection, each, seen):
            yield each


def has_failed(info: Message) -> bool:
    """Tell whether a job failed by itself, or for its time."""
    state = state_of(info)
    return state == "JOB_FAILURE" or (state == "JOB_KILLED" and info.reason == _TIMED_OUT)


def _is_behind_stopped(connection: Connection, info: Message, seen: dict[str, bool]) -> bool:
    """Tell whether all that a job could not run for are jobs that were stopped, or are behind such jobs."""
    name = names.show_job(info.job)
    if name not in seen:
        lacking = [each for each in _needed(connection, info) if each is None or state_of(each) in _LACKING]
        seen[name] = bool(lacking) and all(
            each is not None and not has_failed(each) and _is_excused(connection, each, seen)
            for each in lacking
        )
    return seen[name]


def _is_excused(connection: Connection, info: Message, seen: dict[str, bool]) -> bool:
    return state_of(info) == "JOB_KILLED" or _is_behind_stopped(connection, info, seen)


def _needed(connection: Connection, info: Message) -> Iterator[Message | None]:
    """Yield the jobs whose output a job was to read; None for what is not there or broke without a job."""
    id = info.job.id
    try:
        details = inspect_job(connection, names.show_job(info.job)).details
    except NotFound:  # deleted meanwhile
        return
    for part in pfs_inputs(details.input):
        repo = f"{part.project or info.job.pipeline.project.name or 'default'}/{part.repo}"
        try:
            commit = inspect_commit(connection, f"{repo}@{part.commit or id}")
        except NotFound:
            yield None
            continue
        try:
            yield inspect_job(connection, f"{repo}@{commit.commit.id}", details=False)
        except NotFound:
            if commit.error:
                yield None
