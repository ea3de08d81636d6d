"""Run one job: plan it, let workers have its datums, and finish it when all are recorded.

Everything that is decided is written down before the next thing begins: the plan, then every datum with its output in
one transaction. So a job that was interrupted goes on from its rows, and what they say is never done again.

A run is a few steps, each done by a thread of a common pool: to begin, to complete it, to egress. Between them it is
only an offer in the lease table, so a thousand jobs that wait for workers cost no thread.

Read next: scheduler.py (who starts runs), leases.py (who has its datums), recording.py (how they are recorded).
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

from pachlet.announcing import announce
from pachlet.egress.outgoing import Halted
from pachlet.errors import PachletError, Unavailable
from pachlet.metadb.changes import Closed
from pachlet.metadb.connect import Rollback
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.pfs import commits
from pachlet.pfs.transactions import Transaction
from pachlet.pps import jobs
from pachlet.pps.alarms import Alarm
from pachlet.pps.datum_sets import datum_sets
from pachlet.pps.egress import WAITS_FOR_ITS_TURN, Delivery
from pachlet.pps.egress_spec import has_egress
from pachlet.pps.engine import Engine
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.jobs import JobRecord
from pachlet.pps.leases import Offer
from pachlet.pps.logbook import Source
from pachlet.pps.obstacles import check_needs
from pachlet.pps.permits import limits_of, may_use_network, requests_of
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.planning import (
    Plan,
    PlannedDatum,
    deletions,
    find_base,
    left_to_do,
    make_plan,
    rule_for,
    store_plan,
)
from pachlet.pps.secrets import transform_secrets
from pachlet.pps.skipping import code_of, policy_of
from pachlet.pps.states import JobState, PipelineState
from pachlet.storage.fileset import Diff
from pachlet.worker.head import Work
from pachlet.worker.host import warning_of
from pachlet.worker.interface import NOT_IN_IMAGE, Image, Prepared, Secrets, Transform

log = logging.getLogger(__name__)


class JobRun:
    """The Run of a pipeline that transforms files (runs.py has the promises)."""

    def __init__(self, engine: Engine, job: JobRecord) -> None:
        self._engine = engine
        self._job = job
        self._lock = threading.Lock()
        self._steps = 0  # that are being done, or will be without anybody's doing
        self._is_waiting = False  # for the last datum to be recorded
        self._is_stopped = False  # by `cancel`: whatever goes wrong from then on is no fault of the job
        self._over = threading.Event()
        self._alarms: list[Alarm] = []
        self._delivery: Delivery | None = None

    def start(self) -> None:
        self._do(self._begin)

    def is_alive(self) -> bool:
        return not self._over.is_set()

    def join(self) -> None:
        self._over.wait()

    def cancel(self, reason: str) -> None:
        with self._lock:
            self._is_stopped = True
            delivery = self._delivery
        if delivery is not None:
            delivery.stop()
        self._engine.leases.withdraw(self._job.key, reason)
        self._look_whether_over()

    @property
    def _source(self) -> Source:
        return Source(self._job.pipeline, self._job.id)

    def _do(self, step: Callable[[], None], threads: Executor | None = None) -> None:
        """Have a step done by another thread, one of the engine's for steps unless others are given."""
        with self._lock:
            if self._over.is_set():
                return
            self._steps += 1
        (threads or self._engine.steps).submit(self._try, step)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            if not self._is_stopped:
                step()
        except (Closed, Halted):
            pass
        except Exception as error:
            self._fail(error)
        finally:
            with self._lock:
                self._steps -= 1
            self._look_whether_over()

    def _look_whether_over(self) -> None:
        with self._lock:
            if not self._steps and (self._is_stopped or not self._is_waiting):
                self._over.set()
                for alarm in self._alarms:
                    alarm.cancel()

    def _fail(self, error: Exception) -> None:
        """End the job with what went wrong."""
        if isinstance(error, PachletError):
            self._end(error.message, error.hint)
        elif isinstance(error, OSError):
            self._end(f"a file of the server's could not be used: {error}", "look at the disk's space")
        else:
            log.error("job %s failed; this is a bug of pachlet", self._job.id, exc_info=error)
            self._end(f"{type(error).__name__}: {error} (a bug of pachlet; the server's log has more)", "")

    def _end(self, reason: str, hint: str) -> None:
        if self._is_stopped or self._engine.database.changes.is_closed:
            return
        reason += f" ({hint})" if hint else ""
        self._engine.logbook.master(self._source, f"job failed: {reason}")
        self._engine.logbook.flush()
        with self._engine.transactions.start() as txn:
            row = txn.db.first("get_job_by_key", key=self._job.key)
            if row is None or JobState(row["state"]).is_terminal:
                raise Rollback
            jobs.end_job(txn, JobRecord.of(row), JobState.FAILURE, reason)
            if (
                row["state"] != JobState.EGRESSING
            ):  # the next output may be another, as after a datum that failed
                state = PipelineState.CRASHING
                txn.db.run("set_pipeline_state", key=self._job.pipeline, state=state, reason=reason)

    def _begin(self) -> None:
        with self._engine.database.read() as db:
            self._job = jobs.get_job(db, self._job.key)
            pipeline = get_pipeline(db, self._job.pipeline, self._job.version)
        if self._job.state not in (JobState.CREATED, JobState.RUNNING, JobState.EGRESSING):
            return
        if self._job.state != JobState.CREATED:
            reason = "the server was stopped in the middle of a job, which goes on"
            with self._engine.database.write() as database:
                database.run("count_restart", key=self._job.key)
                state = PipelineState.RESTARTING
                database.run("set_pipeline_state", key=self._job.pipeline, state=state, reason=reason)
            self._engine.logbook.master(self._source, "going on where the server stopped")
        if self._job.state == JobState.EGRESSING:
            self._end_in_time(pipeline)
            self._egress(pipeline)
            return
        with self._engine.database.read() as db:
            check_needs(db, self._engine, pipeline.spec)
        self._engine.runner.expect(transform_of(pipeline.spec))
        prepared = self._prepare(pipeline)
        found = self._plan(pipeline, prepared)
        if found is None:
            return
        todo, inputs = found
        self._end_in_time(pipeline)
        if todo:
            self._offer(pipeline, prepared, inputs, todo)
        else:
            self._complete(pipeline)

    def _end_in_time(self, pipeline: PipelineRecord) -> None:
        if pipeline.job_timeout is not None and self._job.started is not None:
            end = self._job.started + int(pipeline.job_timeout * 1e9)
            self._alarms.append(self._engine.alarms.at(end, self._time_out))

    def _start(self, doing: str) -> None:
        """Say that the work on the job begins or goes on, and what is done until its datums are known."""
        if self._job.is_planned:
            return
        with self._engine.transactions.start() as txn:
            self._job = jobs.get_job(txn.db, self._job.key)
            if self._job.state in (JobState.CREATED, JobState.RUNNING):
                jobs.start_job(txn, self._job, doing)
                self._job = jobs.get_job(txn.db, self._job.key)

    def _prepare(self, pipeline: PipelineRecord) -> Prepared:
        """Make the image runnable: the one that the job began with, or the code as it is now."""
        runner, source = self._engine.runner, self._source
        if self._job.image:
            image = image_of(read_json(self._job.image))
        else:
            image = runner.resolve(pipeline.spec["transform"]["image"])
        if image.warning:
            self._engine.logbook.master(source, image.warning)
        snapshot = self._engine.snapshots / image.digest.removeprefix("sha256:")

        def say(line: str) -> None:
            self._start(line)  # what takes time is seen to be at work
            self._engine.logbook.master(source, line)

        try:
            return runner.prepare(image, snapshot, say)
        except Unavailable as error:
            rerun = f"`pachctl rerun pipeline {pipeline.name} --project {pipeline.project}`"
            again = f"it is tried again by itself, and by the next commit or {rerun}"
            raise Unavailable(
                error.message, hint=f"{error.hint}; {again}" if error.hint else again
            ) from error

    def _plan(
        self, pipeline: PipelineRecord, prepared: Prepared
    ) -> tuple[list[PlannedDatum], JobInputs] | None:
        """Return what is to be run; None if the job was ended meanwhile."""
        engine, job = self._engine, self._job
        with engine.database.read() as db:
            inputs = JobInputs(engine.files, commits.upstream(db, job.output))
            if job.is_planned:
                todo = left_to_do(db, inputs, pipeline, job)
            else:
                base = find_base(db, job)
                code = code_of(prepared.image.digest, pipeline.spec["transform"])
                rule = rule_for(db, pipeline, base, policy_of(pipeline.spec, engine.skip), code)
                plan = make_plan(db, inputs, pipeline, base, rule)
                dropped = deletions(db, engine.files, job, plan)
        if job.is_planned:
            with engine.database.write() as database:
                _say_running(database, job, prepared)
            return todo, inputs
        if not self._store(plan, prepared, dropped):
            return None
        self._announce(pipeline, plan)
        return plan.todo, inputs

    def _store(self, plan: Plan, prepared: Prepared, dropped: list[tuple[int, Diff]]) -> bool:
        image = json.dumps(image_facts(prepared))
        with self._engine.transactions.start() as txn:
            self._job = jobs.get_job(txn.db, self._job.key)
            if self._job.state not in (JobState.CREATED, JobState.RUNNING):
                raise Rollback
            jobs.start_job(txn, self._job)
            store_plan(txn, self._job, plan, image, dropped)
            _mark_output(txn, self._job, prepared)
            _say_running(txn.db, self._job, prepared)
            self._job = jobs.get_job(txn.db, self._job.key)
            return True
        return False

    def _announce(self, pipeline: PipelineRecord, plan: Plan) -> None:
        command = f"pachctl rerun pipeline {pipeline.name} --reprocess --project {pipeline.project}"
        lines = announce(plan.kept, plan.runs, now=plan.rule.code, gone=len(plan.gone), command=command)
        for line in lines:
            self._engine.logbook.master(self._source, line)

    def _offer(
        self, pipeline: PipelineRecord, prepared: Prepared, inputs: JobInputs, todo: list[PlannedDatum]
    ) -> None:
        """Let workers have the datums; the run goes on when all are recorded."""
        sets = datum_sets(todo, pipeline.spec.get("datum_set_spec") or {}, pipeline.parallelism)
        offer = Offer(
            job=self._job,
            pipeline=pipeline,
            work=make_work(self._engine, self._job.id, pipeline, prepared),
            prepared=prepared,
            inputs=inputs,
            sets=deque(sets),
            limit=pipeline.parallelism,
            memory=requests_of(pipeline.spec).memory or 0,
            done=lambda: self._go_on(lambda: self._complete(pipeline)),
            failed=lambda problem: self._go_on(lambda: self._fail(problem)),
        )
        with self._lock:
            if self._is_stopped:
                return
            self._is_waiting = True
            self._engine.leases.offer(offer)

    def _go_on(self, step: Callable[[], None], threads: Executor | None = None) -> None:
        self._do(step, threads)
        with self._lock:
            self._is_waiting = False

    def _time_out(self) -> None:
        with self._engine.transactions.start() as txn:
            row = txn.db.first("get_job_by_key", key=self._job.key)
            if row is None:
                raise Rollback
            jobs.stop_job(txn, JobRecord.of(row), "job timed out")

    def _complete(self, pipeline: PipelineRecord) -> None:
        if not self._judge():
            return
        if not has_egress(pipeline.spec):
            self._finish(JobState.RUNNING)
            return
        with self._engine.transactions.start() as txn:
            if jobs.get_job(txn.db, self._job.key).state != JobState.RUNNING:
                raise Rollback
            jobs.start_egress(txn, self._job, WAITS_FOR_ITS_TURN)
            self._engine.logbook.write(txn.db)
            state = JobState.EGRESSING
            self._job = replace(self._job, state=state)
        if self._job.state == JobState.EGRESSING:
            self._egress(pipeline)

    def _egress(self, pipeline: PipelineRecord) -> None:
        with self._lock:
            if self._is_stopped:
                return
            self._delivery = delivery = Delivery(self._engine, self._job, pipeline)
        self._do(lambda: self._deliver(delivery), self._engine.deliveries)

    def _deliver(self, delivery: Delivery) -> None:
        again = delivery.deliver()
        if again is None:
            self._finish(JobState.EGRESSING)
            return
        with self._lock:
            self._is_waiting = True
        step, threads = (lambda: self._deliver(delivery)), self._engine.deliveries
        self._alarms.append(self._engine.alarms.at(again, lambda: self._go_on(step, threads)))

    def _judge(self) -> bool:
        """Say what became of the datums; end the job and return False if one failed."""
        with self._engine.database.read() as db:
            self._job = job = jobs.get_job(db, self._job.key)
        self._engine.logbook.master(
            self._source,
            f"processed {job.processed}, skipped {job.skipped}, failed {job.failed}, "
            f"recovered {job.recovered} of {job.total} datums",
        )
        if not job.failed:
            return True
        with self._engine.transactions.start() as txn:
            if jobs.get_job(txn.db, job.key).state != JobState.RUNNING:
                raise Rollback
            row = txn.db.first("get_datum", job=job.key, id=job.failed_datum)
            record = read_json(row["record"]) if row else {}
            why = record.get("reason", "")
            reason = f"datum {job.failed_datum} failed" + (f": {why}" if why else "")
            jobs.end_job(txn, job, JobState.FAILURE, reason)
            self._engine.logbook.master(self._source, f"job failed: {reason}")
            if not record.get("has_begun", True):  # no datum will ever run
                transform = get_pipeline(txn.db, job.pipeline, job.version).spec["transform"]
                state, crashing = PipelineState.CRASHING, f"{why} ({_how_to_begin(why, transform)})"
                txn.db.run("set_pipeline_state", key=job.pipeline, state=state, reason=crashing)
            self._engine.logbook.write(txn.db)
        return False

    def _finish(self, after: JobState) -> None:
        with self._engine.transactions.start() as txn:
            job = jobs.get_job(txn.db, self._job.key)
            if job.state != after:
                raise Rollback
            jobs.finish_job(txn, job)
            self._engine.logbook.write(txn.db)


def _how_to_begin(why: str, transform: Mapping[str, Any]) -> str:
    """Return what to do where no code could be started for a reason."""
    if NOT_IN_IMAGE not in why:
        return "change its transform"
    folder = transform.get("working_dir", "")
    is_folder = folder and why.startswith(f"{Path('/', folder)} ")
    return f"put it there, or change transform.{'working_dir' if is_folder else 'cmd'}"


def _mark_output(txn: Transaction, job: JobRecord, prepared: Prepared) -> None:
    """Say on a job's output commit which code makes it, and from which git commit; `dirty` if not quite that one."""
    output, image = commits.get_commit(txn.db, job.output), prepared.image
    said = {**read_json(output.metadata), "image": f"{image.reference}@{image.digest}"}
    if commit := prepared.provenance.get("git_commit"):
        said["git-commit"] = commit
        if prepared.provenance.get("dirty"):
            said["dirty"] = "true"
    txn.db.run("set_commit_metadata", key=output.key, metadata=json.dumps(said))


def make_work(engine: Engine, job: str, pipeline: PipelineRecord, prepared: Prepared) -> Work:
    """Return what is the same for all datums of a job; secrets are what they are now."""
    with engine.database.read() as db:
        secrets = transform_secrets(db, pipeline.spec)
    return Work(
        job=job,
        project=pipeline.project,
        pipeline=pipeline.name,
        version=pipeline.version,
        image=prepared.image,
        transform=replace(transform_of(pipeline.spec), secrets=Secrets(secrets.environ, secrets.files)),
        environ=engine.worker_environ(pipeline),
        tries=pipeline.datum_tries,
        timeout=pipeline.datum_timeout,
        stays_warm=not pipeline.spec.get("autoscaling"),
        network="host" if may_use_network(pipeline.spec, engine.network) else "none",
    )


def _say_running(db: Statements, job: JobRecord, prepared: Prepared) -> None:
    state, reason = PipelineState.RUNNING, prepared.image.warning
    db.run("set_pipeline_state", key=job.pipeline, state=state, reason=reason)


def image_facts(prepared: Prepared) -> dict[str, object]:
    """Return what is recorded of the code that ran."""
    image = prepared.image
    return {
        "reference": image.reference,
        "digest": image.digest,
        "kind": image.kind,
        "code": dict(image.provenance),
        "provenance": dict(prepared.provenance),
    }


def image_of(facts: Mapping[str, Any]) -> Image:
    """Return the image of what `image_facts` gave."""
    reference, kind, code = facts["reference"], facts["kind"], facts["code"]
    warning = warning_of(reference, code["os"]) if kind == "host" else ""
    return Image(reference, facts["digest"], kind, code, warning)


def transform_of(spec: dict[str, object]) -> Transform:
    """Return the transform of an effective spec as the worker takes it."""
    found = spec["transform"]
    assert isinstance(found, dict)
    return Transform(
        image=found["image"],
        cmd=tuple(found.get("cmd", ())),
        stdin=tuple(found["stdin"]) if found.get("stdin") else None,
        err_cmd=tuple(found.get("err_cmd", ())),
        err_stdin=tuple(found["err_stdin"]) if found.get("err_stdin") else None,
        env=dict(found.get("env", {})),
        accept_return_code=tuple(int(code) for code in found.get("accept_return_code", ())),
        working_dir=found.get("working_dir", ""),
        user=found.get("user", ""),
        datum_batching=bool(found.get("datum_batching")),
        memory_volume=bool(found.get("memory_volume")),
        debug=bool(found.get("debug")),
        limits=limits_of(spec),
    )
