"""Say why a pipeline can't run, within seconds, and let it run once it can.

A cluster knows of a pipeline's troubles by its pods; here somebody has to look: when a pipeline is new, when what it
reads may have been deleted, and while it is CRASHING, at growing intervals. When nothing is in the way any more, the
work that its last job could not even begin is given to a new job.

Read next: obstacles.py (what is looked for), pfs/timer.py (who calls).
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from pachlet.clock import Clock
from pachlet.errors import NotFound, PachletError
from pachlet.metadb.changes import Closed
from pachlet.metadb.connect import Rollback
from pachlet.paths import Branch
from pachlet.pfs import branches
from pachlet.pfs.transactions import Transaction
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord
from pachlet.pps.logbook import Source
from pachlet.pps.obstacles import find_obstacle, reads, with_hint
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.runs import Kind, kind_of
from pachlet.pps.states import JobState, PipelineState

log = logging.getLogger(__name__)

_BREATH = 1.0
"""Seconds between two looks at what changed: there may be thousands of changes in one."""
_FIRST, _LONGEST = 1.0, 60.0
"""Seconds until a pipeline in trouble is looked at again: twice as long each time."""
_TRIES = 8
"""So many new jobs are made at most for one version of a pipeline while none of them begins."""


@dataclass
class _Patient:
    """What is known of one version of a pipeline."""

    version: int
    reads: int = 0
    """How many branches its output is downstream of if all is well."""
    has_secrets: bool = False
    again: float | None = None
    """When to look again, by a clock that only measures."""
    patience: float = _FIRST
    tries: int = 0
    problem: str = ""
    """What was in the way when it was last looked at."""
    busy: threading.Event = field(default_factory=threading.Event)


class Recovery:
    """Looks after every pipeline that is not stopped."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._patients: dict[int, _Patient] = {}
        self._seen = -1
        self._not_before = 0.0
        self._again: float | None = None
        """When the first of them is to be looked at again; kept, because there may be hundreds of changes a second."""

    def look(self) -> int | None:
        """Look at what is new and at what is in trouble; return when to look again."""
        now, count = time.monotonic(), self._engine.database.changes.count
        is_due = self._again is not None and self._again <= now
        if (count != self._seen and now >= self._not_before) or is_due:
            self._seen, self._not_before = count, now + _BREATH
            self._look_at_all(now)
            again = (each.again for each in self._patients.values() if each.again is not None)
            self._again = min(again, default=None)
        times = [] if self._again is None else [self._again]
        if self._engine.database.changes.count != self._seen:
            times.append(self._not_before)
        wait = min(times, default=None)
        return None if wait is None else self._clock.now() + int(max(0.0, wait - now) * 1e9)

    def _look_at_all(self, now: float) -> None:
        with self._engine.database.read() as db:
            rows = {row["key"]: row for row in db.all("pipelines_that_run")}
        self._patients = {key: each for key, each in self._patients.items() if key in rows}
        for key, row in rows.items():
            patient = self._patients.get(key)
            if patient is None or patient.version != row["version"]:
                self._patients[key] = _Patient(row["version"])
                self._examine(key, self._patients[key], now)
            elif (
                row["state"] != PipelineState.CRASHING
                and row["heard"] >= patient.reads
                and not patient.has_secrets
            ):
                patient.again, patient.patience, patient.problem = None, _FIRST, ""
            elif not patient.busy.is_set() and (patient.again is None or patient.again <= now):
                self._examine(key, patient, now)

    def _examine(self, key: int, patient: _Patient, now: float) -> None:
        try:
            with self._engine.database.read() as db:
                record = get_pipeline(db, key)
                problem = find_obstacle(db, self._engine, record)
                row = db.first("newest_job", pipeline=key)
        except NotFound:
            return  # deleted just now
        last = JobRecord.of(row) if row else None
        patient.reads, patient.has_secrets = len(reads(record)), bool(record.spec["transform"].get("secrets"))
        if problem:
            patient.problem = problem
            self._set_state(record, PipelineState.CRASHING, problem)
        elif record.state == PipelineState.CRASHING:
            if kind_of(record.spec) != Kind.TRANSFORM and not patient.problem:
                patient.patience = _LONGEST  # what stands looks after itself
            elif _is_well(last) or (patient.problem and not _has_not_begun(last)):
                self._set_state(record, _state_after(last), "")
                patient.problem = ""
            elif _has_not_begun(last) and patient.tries < _TRIES:
                patient.busy.set()
                self._engine.steps.submit(self._try_again, record, patient)
            else:
                patient.patience = _LONGEST  # the next job tells
        else:
            patient.again, patient.problem = None, ""
            return
        patient.again = now + patient.patience
        patient.patience = min(2 * patient.patience, _LONGEST)

    def _set_state(self, record: PipelineRecord, state: PipelineState, reason: str) -> None:
        with self._engine.transactions.start() as txn:
            row = txn.db.first("get_pipeline_by_key", key=record.key)
            if row is None or row["version"] != record.version:
                return
            if (row["state"], row["reason"]) == (state, reason):
                return
            txn.db.run("set_pipeline_state", key=record.key, state=state, reason=reason)
        said = f"the pipeline can't run: {reason}" if reason else "the pipeline can run again"
        self._engine.logbook.master(Source(record.key, ""), said)

    def _try_again(self, record: PipelineRecord, patient: _Patient) -> None:
        """Make the image runnable, which may take minutes, and then a job of what could not begin."""
        try:
            if kind_of(record.spec) == Kind.TRANSFORM:
                image = self._engine.runner.resolve(record.spec["transform"]["image"])
                snapshot = self._engine.snapshots / image.digest.removeprefix("sha256:")
                source = Source(record.key, "")
                self._engine.runner.prepare(
                    image, snapshot, lambda line: self._engine.logbook.master(source, line)
                )
            patient.tries += 1
            with self._engine.transactions.start() as txn:
                self._make_job(txn, record)
        except PachletError as error:
            if not self._engine.database.changes.is_closed:  # else the server's end is what it met
                self._set_state(record, PipelineState.CRASHING, with_hint(error))
        except Closed:
            pass
        except Exception:
            log.exception("a pipeline could not be let run again; this is a bug of pachlet")
        finally:
            patient.busy.clear()
            self._engine.database.changes.announce()

    def _make_job(self, txn: Transaction, record: PipelineRecord) -> None:
        row = txn.db.first("get_pipeline_by_key", key=record.key)
        newest = txn.db.first("newest_job", pipeline=record.key)
        if row is None or row["version"] != record.version or row["stopped"]:
            raise Rollback
        if not _has_not_begun(JobRecord.of(newest) if newest else None):
            raise Rollback
        txn.db.run("set_pipeline_state", key=record.key, state=PipelineState.STARTING, reason="")
        for repo in (record.repo, record.repo.meta):
            output = branches.find_branch(txn.db, Branch(repo, record.output_branch.name))
            if output is None:
                raise Rollback
            branches.add_empty_commit(txn, output)


def _is_well(job: JobRecord | None) -> bool:
    return job is None or not job.state.is_terminal or job.state == JobState.SUCCESS


def _state_after(job: JobRecord | None) -> PipelineState:
    return PipelineState.RUNNING if job is not None and job.state.is_terminal else PipelineState.STARTING


def _has_not_begun(job: JobRecord | None) -> bool:
    """Tell whether a job failed before it was known what it had to do."""
    return job is not None and job.state == JobState.FAILURE and not job.is_planned
