"""Make, find and end jobs.

A job is made with its output commit, in the same transaction, and ends with it: success is the output commit finishing
without an error, and any other end finishes it with one.

Read next: planning.py (which datums a job has), scheduler.py (who runs it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pachlet.errors import NotFound
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import USER, Branch, Commit
from pachlet.pfs import commits
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transaction
from pachlet.pps.logbook import Source, write_line
from pachlet.pps.states import JobState


@dataclass(frozen=True)
class JobRecord:
    """A job as stored; `output` and `meta` are keys of commits, `image` is JSON, '' before it is planned.

    The numbers from `processed` on are those of its datums so far, the times in nanoseconds; `failed_datum` is one of
    those that failed.
    """

    key: int
    id: str
    pipeline: int
    version: int
    state: JobState
    reason: str
    output: int
    meta: int
    created: int
    started: int | None
    finished: int | None
    restarts: int
    is_planned: bool
    image: str
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int
    failed_datum: str
    download_time: int
    process_time: int
    upload_time: int
    download_bytes: int
    upload_bytes: int
    plan: str
    is_serving: bool

    @classmethod
    def of(cls, row: Row) -> JobRecord:
        """Make a record of a row of `jobs`."""
        values = dict(zip(row.keys(), row, strict=True))  # a Row looks for a name among all of its columns
        values["state"] = JobState(values["state"])
        for each in ("is_planned", "is_serving"):
            values[each] = bool(values[each])
        return cls(**values)


def get_job(db: Statements, key: int) -> JobRecord:
    """Return the job with a key that is known to exist."""
    row = db.first("get_job_by_key", key=key)
    if row is None:
        raise NotFound("a job in use was deleted")
    return JobRecord.of(row)


def find_job(db: Statements, project: str, name: str, id: str) -> JobRecord | None:
    """Return a job of a pipeline, or None."""
    pipeline = db.first("get_pipeline", project=project, name=name)
    row = db.first("get_job", pipeline=pipeline["key"], id=id) if pipeline else None
    return JobRecord.of(row) if row else None


def inspect_job(db: Statements, project: str, name: str, id: str) -> JobRecord:
    """Return a job of a pipeline; raise NotFound."""
    found = find_job(db, project, name, id)
    if found is None:
        raise NotFound(
            f"job {project}/{name}@{id} not found", hint=f"pachctl list job -p {name} --project {project}"
        )
    return found


def create_jobs(txn: Transaction) -> None:
    """Make a job of each pipeline whose output commit was opened in a transaction (runs at its end)."""
    for key in txn.opened:
        row = txn.db.first("get_commit_by_key", key=key)
        if row is None:
            continue  # deleted again in the same transaction
        output = CommitRecord.of(row)
        repo = output.commit.repo
        pipeline = txn.db.first("get_pipeline", project=repo.project, name=repo.name)
        if repo.type != USER or pipeline is None or not commits.is_pipeline_output(txn.db, output):
            continue
        meta = commits.find_commit(txn.db, Commit(repo.meta, txn.id))
        if meta is None:
            reason = (
                f"branch {Branch(repo.meta, output.branch)} is gone; `pachctl update pipeline` makes it again"
            )
            commits.start_finishing(txn, output, error=reason)
            continue
        txn.db.run(
            "add_job",
            id=txn.id,
            pipeline=pipeline["key"],
            version=pipeline["version"],
            output=output.key,
            meta=meta.key,
            created=txn.now,
        )


def end_finished_jobs(txn: Transaction) -> None:
    """End each job whose commits were the last to be settled in a transaction (runs at its end).

    An error of one commit is one of both: the next job is to start from the same job's output and meta data.
    """
    for key in txn.settled:
        row = txn.db.first("job_of_commit", commit=key)
        if row is None or row["state"] != JobState.FINISHING:
            continue
        pair = [commits.get_commit(txn.db, row[each]) for each in ("output", "meta")]
        if all(each.finished is not None for each in pair):
            error = pair[0].error or pair[1].error
            state = JobState.FAILURE if error else JobState.SUCCESS
            for record in pair:
                if record.error != error:
                    txn.db.run("spoil_commit", key=record.key, error=error)
            if error:
                _log(txn, JobRecord.of(row), f"job failed: {error}")
            txn.db.run(
                "set_job_state", key=row["key"], state=state, reason=error, started=None, finished=txn.now
            )


def remove_jobs(txn: Transaction) -> None:
    """Remove each job whose output was deleted in a transaction (runs at its end)."""
    for key in txn.deleted:
        row = txn.db.first("job_of_commit", commit=key)
        if row is not None:
            delete_job(txn, JobRecord.of(row))


def delete_job(txn: Transaction, job: JobRecord) -> None:
    """Delete what is kept of a job, its log too, which nothing else ends; its output commit stays as it is."""
    txn.db.run("delete_logs_of_job", pipeline=job.pipeline, job=job.id)
    delete_datums(txn.db, "job", job.key)
    txn.db.run("delete_job", key=job.key)


def delete_datums(db: Statements, of: Literal["job", "pipeline"], key: int) -> None:
    """Forget the datums of a job, or of all jobs of a pipeline, and what became of them if no other job keeps it."""
    records = [(row["record"],) for row in db.all(f"records_of_{of}", **{of: key})]
    db.run(f"delete_datums_of_{of}", **{of: key})
    db.many("delete_unused_record", records)


def start_job(txn: Transaction, job: JobRecord, reason: str = "") -> None:
    """Say that a job's inputs are there and its work begins, or what has to be done before its datums."""
    txn.db.run(
        "set_job_state", key=job.key, state=JobState.RUNNING, reason=reason, started=txn.now, finished=None
    )


def start_egress(txn: Transaction, job: JobRecord, reason: str = "") -> None:
    """Say that a job's output is being delivered, or why that has to wait."""
    txn.db.run(
        "set_job_state",
        key=job.key,
        state=JobState.EGRESSING,
        reason=reason,
        started=txn.now,
        finished=None,
    )


def finish_job(txn: Transaction, job: JobRecord) -> None:
    """Say that a job's work is done: it succeeds once its commits are settled."""
    txn.db.run(
        "set_job_state", key=job.key, state=JobState.FINISHING, reason="", started=txn.now, finished=None
    )
    finish_commits(txn, job)


def finish_commits(txn: Transaction, job: JobRecord) -> None:
    """Close what a job writes."""
    for key in (job.output, job.meta):
        commits.start_finishing(txn, commits.get_commit(txn.db, key))


def succeed_job(txn: Transaction, job: JobRecord) -> None:
    """Say that a job whose commits were closed before is over."""
    txn.db.run(
        "set_job_state", key=job.key, state=JobState.SUCCESS, reason="", started=txn.now, finished=txn.now
    )


def end_job(txn: Transaction, job: JobRecord, state: JobState, reason: str) -> None:
    """End a job that did not succeed; its commits are finished with the reason as their error.

    What its datums wrote counts for nothing; what is recorded of each stays in the meta commit, as upstream.
    """
    txn.db.run("set_job_state", key=job.key, state=state, reason=reason, started=txn.now, finished=txn.now)
    if state != JobState.FAILURE:  # whoever finds that a job failed has said so
        _log(txn, job, f"job {state}: {reason}")
    for key in (job.output, job.meta):
        record = commits.get_commit(txn.db, key)
        if record.is_open:
            if key == job.output:
                txn.db.run("delete_staged", commit=key)
            commits.start_finishing(txn, record, error=reason)


def _log(txn: Transaction, job: JobRecord, line: str) -> None:
    write_line(txn.db, Source(job.pipeline, job.id), line, txn.now)


def stop_job(txn: Transaction, job: JobRecord, reason: str) -> None:
    """Kill a job, unless it is over or nothing of it but its commits is left to be settled."""
    if not job.state.is_terminal and job.state != JobState.FINISHING:
        end_job(txn, job, JobState.KILLED, reason)


def kill_jobs(txn: Transaction, pipeline_key: int, reason: str, *, but_serving: bool = False) -> None:
    """Kill every job of a pipeline that has work left; the scheduler stops their workers when it sees it.

    With `but_serving`, that of a service which serves goes on, until one of the next version does.
    """
    for row in txn.db.all("unfinished_jobs", pipeline=pipeline_key):
        if not (but_serving and row["is_serving"]):
            stop_job(txn, JobRecord.of(row), reason)


def failed_inputs(db: Statements, output: CommitRecord) -> list[CommitRecord]:
    """Return the input commits of an output commit that ended with an error."""
    return [each for each in commits.upstream(db, output.key) if each.finished is not None and each.error]
