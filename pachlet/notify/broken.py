"""Find out what broke in a job set: which jobs, why, what their code said, and what set it all off.

A job that could not run because another of its set failed is a consequence: it is named and not described, so that
one mistake upstream is one story. Only of the first few failed jobs everything is asked for.

Read next: stopped.py (what is not broken), letter.py (how it is told).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pachlet.client import names
from pachlet.client.commits import inspect_commitset
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import list_datum
from pachlet.client.jobs import is_terminal, state_of
from pachlet.client.logs import failure_lines
from pachlet.errors import PachletError
from pachlet.notify.stopped import UNRUNNABLE, broken_jobs, has_failed

_MOST = 5
"""So many failed jobs are described in full."""
_USER = 1
"""The origin of a commit that somebody made."""


@dataclass(frozen=True)
class FailedJob:
    """One job that failed, or that could not run though nothing of its set failed."""

    project: str
    pipeline: str
    id: str
    state: str
    reason: str
    failed: int
    """How many of its datums failed, of how many."""
    total: int
    lines: tuple[str, ...]
    """What it said last."""
    datum: str
    """The id of a datum that failed, or ""."""

    @property
    def name(self) -> str:
        return f"{self.project}/{self.pipeline}"


@dataclass(frozen=True)
class Broken:
    """What broke in one job set."""

    id: str
    server: str
    """Its address."""
    jobs: tuple[FailedJob, ...]
    more: tuple[str, ...]
    """Failed jobs that are only named."""
    unrunnable: tuple[str, ...]
    """Pipelines whose jobs could not run because of it."""
    going: tuple[str, ...]
    """Pipelines whose jobs are not over."""
    causes: tuple[str, ...]
    """The commits that set it off."""


def describe(connection: Connection, id: str, infos: Sequence[Message]) -> Broken | None:
    """Say what broke in the job set of an id; None if nothing did."""
    broken = list(broken_jobs(connection, infos))
    told = [each for each in broken if has_failed(each)] or broken
    if not told:
        return None
    return Broken(
        id=id,
        server=connection.address.url,
        jobs=tuple(_describe_job(connection, each) for each in told[:_MOST]),
        more=tuple(names.show_pipeline(each.job.pipeline) for each in told[_MOST:]),
        unrunnable=tuple(names.show_pipeline(each.job.pipeline) for each in broken[len(told) :]),
        going=tuple(names.show_pipeline(each.job.pipeline) for each in infos if not is_terminal(each)),
        causes=_causes(connection, id),
    )


def _describe_job(connection: Connection, info: Message) -> FailedJob:
    name = names.show_job(info.job)
    lines: list[str] = []
    datum = ""
    if state_of(info) != UNRUNNABLE:
        try:  # what can't be had must not keep the rest from being told
            lines = failure_lines(connection, name)
            datum = next((each.datum.id for each in list_datum(connection, name, states=["FAILED"])), "")
        except PachletError as error:
            lines.append(f"(the server gave no more: {error.message})")
    return FailedJob(
        project=info.job.pipeline.project.name or "default",
        pipeline=info.job.pipeline.name,
        id=info.job.id,
        state=state_of(info).removeprefix("JOB_").lower(),
        reason=info.reason,
        failed=info.data_failed,
        total=info.data_total,
        lines=tuple(lines),
        datum=datum,
    )


def _causes(connection: Connection, id: str) -> tuple[str, ...]:
    """Return the commits of a set that somebody made, each with what was said of it."""
    try:
        found = [each for each in inspect_commitset(connection, id) if each.origin.kind == _USER]
    except PachletError:  # squashed meanwhile
        return ()
    return tuple(
        names.show_commit(each.commit) + (f" ({each.description})" if each.description else "")
        for each in found
        if each.commit.repo.type in ("", "user")
    )
