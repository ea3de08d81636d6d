"""Run one job: plan it, run its datums over a few workers, record each, and finish it.

Everything that is decided is written down before the next thing begins: the plan, then every datum with its output in
one transaction. So a job that was interrupted goes on from its rows, and what they say is never done again.

Read next: scheduler.py (who starts runs), datum_run.py (one datum).
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from pathlib import Path

from pachlet.errors import PachletError
from pachlet.metadb.changes import Closed
from pachlet.metadb.connect import Rollback
from pachlet.pfs import commits
from pachlet.pps import jobs
from pachlet.pps.datum_run import DatumRun, Settled
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord
from pachlet.pps.logbook import Source
from pachlet.pps.permits import limits_of, may_use_network
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.planning import JobInputs, Plan, PlannedDatum, made_by_older_code, make_plan, store_plan
from pachlet.pps.states import JobState, PipelineState
from pachlet.worker.interface import Image, Prepared, Session, Transform

log = logging.getLogger(__name__)


class JobRun:
    """The Run of a pipeline that transforms files (runs.py has the promises)."""

    def __init__(self, engine: Engine, job: JobRecord, slots: threading.Semaphore) -> None:
        self._engine = engine
        self._job = job
        self._slots = slots
        self._sessions: list[Session] = []
        self._lock = threading.Lock()
        self._is_cancelled = threading.Event()
        self._is_stopped = False  # by `cancel`: whatever goes wrong from then on is no fault of the job
        self._todo: queue.SimpleQueue[PlannedDatum] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"job-{job.id[:8]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()

    @property
    def _source(self) -> Source:
        return Source(self._job.pipeline, self._job.id)

    def cancel(self, reason: str) -> None:
        self._is_stopped = True
        self._is_cancelled.set()
        with self._lock:
            for session in self._sessions:
                session.kill(reason, for_good=True)

    def _run(self) -> None:
        try:
            if self._begin():
                self._work()
        except Closed:
            return
        except PachletError as error:
            self._end(error.message, error.hint)
        except OSError as error:
            self._end(f"a file of the server's could not be used: {error}", "look at the disk's space")
        except Exception as error:
            log.exception("job %s failed; this is a bug of pachlet", self._job.id)
            self._end(f"{type(error).__name__}: {error} (a bug of pachlet; the server's log has more)", "")

    def _end(self, reason: str, hint: str) -> None:
        if self._is_stopped:
            return
        self._engine.logbook.master(self._source, f"job failed: {reason}" + (f" ({hint})" if hint else ""))
        self._engine.logbook.flush()
        with self._engine.transactions.start() as txn:
            row = txn.db.first("get_job_by_key", key=self._job.key)
            if row is None or JobState(row["state"]).is_terminal:
                raise Rollback
            jobs.end_job(txn, JobRecord.of(row), JobState.FAILURE, reason)
            txn.db.run(
                "set_pipeline_state", key=self._job.pipeline, state=PipelineState.CRASHING, reason=reason
            )

    def _begin(self) -> bool:
        """Say that the work on the job begins or goes on; return False if the job was ended meanwhile."""
        with self._engine.transactions.start() as txn:
            self._job = jobs.get_job(txn.db, self._job.key)
            if self._job.state == JobState.CREATED:
                jobs.start_job(txn, self._job)
                return True
            if self._job.state != JobState.RUNNING:
                return False
            txn.db.run("count_restart", key=self._job.key)
            reason = "the server was stopped in the middle of a job, which goes on"
            state = PipelineState.RESTARTING
            txn.db.run("set_pipeline_state", key=self._job.pipeline, state=state, reason=reason)
        self._engine.logbook.master(self._source, "going on where the server stopped")
        return True

    def _work(self) -> None:
        with self._engine.database.read() as db:
            pipeline = get_pipeline(db, self._job.pipeline, self._job.version)
        prepared = self._prepare(pipeline)
        todo, inputs = self._plan(pipeline, prepared)
        self._run_datums(pipeline, prepared, inputs, todo)
        if not self._is_cancelled.is_set() and self._judge():
            self._finish()

    def _prepare(self, pipeline: PipelineRecord) -> Prepared:
        """Make the image runnable: the one that the job began with, or the code as it is now."""
        runner, source = self._engine.runner, self._source
        if self._job.image:
            facts = json.loads(self._job.image)
            image = Image(facts["reference"], facts["digest"], facts["kind"], facts["code"])
        else:
            image = runner.resolve(pipeline.spec["transform"]["image"])
        if image.warning:
            self._engine.logbook.master(source, image.warning)
        snapshot = self._engine.snapshots / image.digest.removeprefix("sha256:")
        prepared = runner.prepare(image, snapshot, lambda line: self._engine.logbook.master(source, line))
        with self._engine.database.write() as db:
            db.run("set_pipeline_state", key=pipeline.key, state=PipelineState.RUNNING, reason=image.warning)
        return prepared

    def _plan(self, pipeline: PipelineRecord, prepared: Prepared) -> tuple[list[PlannedDatum], JobInputs]:
        with self._engine.database.read() as db:
            inputs = JobInputs(self._engine.files, commits.upstream(db, self._job.output))
            plan = make_plan(db, inputs, pipeline, self._job)
            settled = {row["id"] for row in db.all("list_datums", job=self._job.key)}
        if not self._job.is_planned:
            self._announce(plan, prepared)
            image = json.dumps(image_facts(prepared))
            with self._engine.transactions.start() as txn:
                if jobs.get_job(txn.db, self._job.key).state != JobState.RUNNING:
                    self._is_cancelled.set()
                    raise Rollback
                store_plan(txn, self._engine.files, self._job, plan, image)
            settled = {each.datum.id for each, _ in plan.kept}
        return [each for each in plan.datums if each.datum.id not in settled], inputs

    def _announce(self, plan: Plan, prepared: Prepared) -> None:
        todo = len(plan.datums) - len(plan.kept)
        logbook = self._engine.logbook
        logbook.master(
            self._source,
            f"{len(plan.datums)} datums: {todo} to process, {len(plan.kept)} kept from earlier jobs",
        )
        for digest, count in made_by_older_code(plan, prepared.image.digest).items():
            logbook.master(
                self._source,
                f"{count} of the kept datums were made by other code, {digest}; "
                "`pachctl update pipeline --reprocess` makes them again",
            )

    def _run_datums(
        self, pipeline: PipelineRecord, prepared: Prepared, inputs: JobInputs, todo: list[PlannedDatum]
    ) -> None:
        for each in todo:
            self._todo.put(each)
        threads = [
            threading.Thread(
                target=self._run_worker,
                args=(number, pipeline, prepared, inputs),
                name=f"worker-{number}",
                daemon=True,
            )
            for number in range(min(pipeline.parallelism, self._engine.workers, len(todo)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _run_worker(
        self, number: int, pipeline: PipelineRecord, prepared: Prepared, inputs: JobInputs
    ) -> None:
        name = f"pipeline-{pipeline.name}-v{pipeline.version}-{number}"
        session: Session | None = None
        try:
            while not self._is_cancelled.is_set():
                try:
                    planned = self._todo.get_nowait()
                except queue.Empty:
                    break
                with self._slots:
                    if self._is_cancelled.is_set():
                        break
                    if session is None:
                        session = self._open(name, number, pipeline, prepared)
                    run = DatumRun(self._engine, self._job, pipeline, prepared, inputs, planned, name)
                    settled = run.settle(session, self._is_cancelled)
                if settled is not None:
                    self._record(settled)
        except Closed:
            self._is_cancelled.set()
        except Exception as error:
            self._failure = error
            self._is_cancelled.set()
        finally:
            if session is not None:
                session.close()

    def _open(self, name: str, number: int, pipeline: PipelineRecord, prepared: Prepared) -> Session:
        folder = Path(self._engine.scratch) / f"{self._job.key}-{number}"
        session = self._engine.runner.open(
            prepared,
            transform_of(pipeline.spec),
            folder,
            self._engine.worker_environ(pipeline, name),
            network="host" if may_use_network(pipeline.spec, self._engine.network) else "none",
        )
        with self._lock:
            self._sessions.append(session)
            if self._is_cancelled.is_set():
                session.kill("the job was stopped", for_good=True)
        return session

    def _record(self, settled: Settled) -> None:
        self._engine.logbook.flush()
        with self._engine.transactions.start() as txn:
            if jobs.get_job(txn.db, self._job.key).state != JobState.RUNNING:
                self._is_cancelled.set()
                raise Rollback
            settled.store(txn, self._job)

    def _judge(self) -> bool:
        """Say what became of the datums; end the job and return False if one failed."""
        with self._engine.database.read() as db:
            self._job = job = jobs.get_job(db, self._job.key)
        self._engine.logbook.master(
            self._source,
            f"processed {job.processed}, skipped {job.skipped}, failed {job.failed}, "
            f"recovered {job.recovered} of {job.total} datums",
        )
        self._engine.logbook.flush()
        if not job.failed:
            return True
        with self._engine.transactions.start() as txn:
            if jobs.get_job(txn.db, job.key).state != JobState.RUNNING:
                raise Rollback
            jobs.end_job(txn, job, JobState.FAILURE, f"datum {job.failed_datum} failed")
        return False

    def _finish(self) -> None:
        with self._engine.transactions.start() as txn:
            job = jobs.get_job(txn.db, self._job.key)
            if job.state != JobState.RUNNING:
                raise Rollback
            jobs.finish_job(txn, job)


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
        limits=limits_of(spec),
    )
