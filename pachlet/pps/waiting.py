"""Say what a job waits for: its turn, a commit, memory, a worker.

It is found out when somebody asks and not stored, since it changes with every job that ends.

Read next: leases.py (who gets workers), ../api/job_list_service.py (who asks).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pps.jobs import JobRecord
from pachlet.pps.leases import Leases, Wait
from pachlet.pps.permits import amount
from pachlet.pps.pipelines import get_pipeline
from pachlet.pps.states import JobState


def with_wait(db: Statements, leases: Leases, job: JobRecord) -> JobRecord:
    """Return a job as it is to be shown: with what it waits for as its reason, STARTING while no worker has had it."""
    if job.state not in (JobState.CREATED, JobState.STARTING, JobState.RUNNING) or job.reason:
        return job
    if job.state == JobState.CREATED:
        return replace(job, reason=_before_its_turn(db, job))
    wait = leases.wait_of(job.key)
    if wait is None:
        return job
    is_begun = job.processed or job.failed or job.recovered
    state = job.state if is_begun else JobState.STARTING
    return replace(job, state=state, reason=_for_a_worker(wait))


def _before_its_turn(db: Statements, job: JobRecord) -> str:
    older = db.first("unfinished_job_before", pipeline=job.pipeline, key=job.key)
    if older is not None:
        return f"waiting for job {older['id']} of the same pipeline"
    for commit in commits.upstream(db, commits.get_commit(db, job.output).key):
        if commit.finished is not None:
            continue
        row = db.first("job_of_commit", commit=commit.key)
        if row is not None:
            owner = get_pipeline(db, row["pipeline"])
            return f"waiting for job {row['id']} of {owner.project}/{owner.name}"
        return f"waiting for a commit on {commit.commit.repo}@{commit.branch} to be finished"
    return ""


def _for_a_worker(wait: Wait) -> str:
    if wait.memory > wait.free:
        return f"waiting for {amount(wait.memory)} of memory; {amount(max(wait.free, 0))} are free"
    busy = wait.busy
    if wait.refusal and (wait.idle or not busy):
        return f"waiting for a worker that can run it; {wait.refusal}"
    if not busy and not wait.idle:
        return "waiting for a worker; none is there (`pachlet worker` is one)"
    if wait.idle:
        return ""
    return f"waiting for a free worker ({len(busy)} of {len(busy)} busy with {_names(busy)})"


def _names(pipelines: Iterable[str]) -> str:
    names = sorted(set(pipelines))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
