"""Start each job when its turn and its inputs have come, and stop the workers of jobs that were ended.

The jobs of a pipeline run one after the other, in the order of their commits, because each starts from the output of
the one before. The scheduler looks at the database after every change and keeps nothing else in mind, so a restart
needs no recovery of its own. Changes may come by the hundred in a second, so a look reads no more than it must, and
when hundreds of pipelines are busy it rests between two looks in proportion to what one takes.

Read next: keeping.py (when it looks), runs.py (what is started), running.py.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from pachlet.metadb.connect import Rollback
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pfs.records import CommitRecord
from pachlet.pps import jobs
from pachlet.pps.culprits import why_unrunnable
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord
from pachlet.pps.keeping import keep_looking
from pachlet.pps.pipelines import get_pipeline
from pachlet.pps.runs import Kind, MakeRun, Run, kind_of
from pachlet.pps.states import JobState

_REST = 4
"""The scheduler rests this many times as long as a look has taken, so looking never takes more than a fifth."""


class Scheduler:
    """Runs the jobs of the engine."""

    def __init__(self, engine: Engine, runs: Mapping[Kind, MakeRun]) -> None:
        self._engine = engine
        self._runs = runs
        self._active: dict[int, Run] = {}
        self._thread = threading.Thread(
            target=keep_looking,
            args=(engine.database.changes, self._look, "the scheduler", _REST),
            name="scheduler",
            daemon=True,
        )

    def start(self) -> None:
        """Start looking for jobs."""
        self._thread.start()

    def close(self) -> None:
        """Stop every worker; the jobs stay as they are and go on at the next start."""
        self._engine.database.changes.close()
        self._thread.join()
        for run in self._active.values():
            run.cancel("the server stops")
        for run in self._active.values():
            run.join()

    def _look(self) -> None:
        for key in [key for key, run in self._active.items() if not run.is_alive()]:
            del self._active[key]
        with self._engine.database.read() as db:
            rows = db.all("next_jobs")
            due = [row["key"] for row in rows if row["key"] not in self._active and not row["must_wait"]]
            ready = [job for key in due if _has_base(db, job := jobs.get_job(db, key))]
            unrunnable = {job.key for job in ready if _failed_inputs(db, job)}
            kinds = {job.key: kind_of(get_pipeline(db, job.pipeline, job.version).spec) for job in ready}
            ends = {key: _end_of(db, key) for key in self._active.keys() - {row["key"] for row in rows}}
        for key, reason in ends.items():
            if reason:
                self._active[key].cancel(reason)
        for job in ready:
            if job.key in unrunnable:
                self._end_unrunnable(job)
            else:
                run = self._runs[kinds[job.key]](job)
                self._active[job.key] = run
                run.start()

    def _end_unrunnable(self, job: JobRecord) -> None:
        with self._engine.transactions.start() as txn:
            current = jobs.get_job(txn.db, job.key)
            if current.state != JobState.CREATED or not _failed_inputs(txn.db, job):
                raise Rollback  # ended, or rid of what it lacked, since somebody looked
            jobs.end_job(txn, current, JobState.UNRUNNABLE, why_unrunnable(txn.db, job))


def _has_base(db: Statements, job: JobRecord) -> bool:
    """Tell whether the commits that a job's output and meta data start from are finished."""
    bases = (commits.content_base(db, commits.get_commit(db, key)) for key in (job.output, job.meta))
    return all(base is None or base.finished is not None for base in bases)


def _end_of(db: Statements, key: int) -> str:
    """Return why a job was ended before its run had done all of it; nothing if it came to its own end."""
    row = db.first("get_job_by_key", key=key)
    if row is None:
        return "the job was deleted"
    return "" if row["state"] == JobState.SUCCESS else row["reason"] or "the job was stopped"


def _failed_inputs(db: Statements, job: JobRecord) -> list[CommitRecord]:
    return jobs.failed_inputs(db, commits.get_commit(db, job.output))
