"""Run one version of a service: a process on a job's single datum that answers at a port, until the next one does.

The job of a new commit, or of a new version of the spec, starts its process beside the one that serves. Once it
answers, it is let through (services.py), the output commits are finished, and the job before succeeds when its last
connection has moved; a process that never answers fails its job, and the one before goes on serving. So the job of
the version that serves is the one that is running.

A job that serves says so in its row. So after a restart of the server the version that served starts first thing,
like any job that was running, and a process that ends is started again for as long as its job is running.

The process has a network of its own, in which it has every port to itself: two versions of one unmodified image that
both listen on 0.0.0.0:80 run beside each other, and nobody reaches either but the server, through sockets that are
made inside and passed out (worker/guard.py). It reaches the server, and nothing else.

Read next: services.py (the port), answering.py (when it answers).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pachlet.errors import FailedPrecondition, PachletError, Refused
from pachlet.metadb.changes import Closed
from pachlet.metadb.connect import Rollback
from pachlet.metadb.stored_json import read_json
from pachlet.pfs import commits
from pachlet.pfs.index import record_put
from pachlet.pfs.transactions import Transaction
from pachlet.pps import jobs
from pachlet.pps.answering import answers, answers_within, health_path
from pachlet.pps.datum import datum_hash
from pachlet.pps.datum_folder import datum_environ, input_files
from pachlet.pps.datum_records import Settled, make_records
from pachlet.pps.desk import as_input_file
from pachlet.pps.engine import Engine
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.jobs import JobRecord
from pachlet.pps.leases import Offer
from pachlet.pps.logbook import Source, write_line
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.planning import PlannedDatum, datums_of
from pachlet.pps.recording import store_records
from pachlet.pps.running import image_facts, image_of, transform_of
from pachlet.pps.services import Services, internal_port
from pachlet.pps.standing import Patience, Stop, open_session, prepare
from pachlet.pps.standing_log import StandingLog
from pachlet.pps.states import DatumState, JobState, PipelineState
from pachlet.worker.forwarding import Backend
from pachlet.worker.head import InputFile, Result, Work
from pachlet.worker.interface import Outcome, Prepared, Session
from pachlet.worker.layout import Layout
from pachlet.worker.working import what_ran

log = logging.getLogger(__name__)
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class _Version:
    pipeline: PipelineRecord
    prepared: Prepared
    planned: PlannedDatum
    inputs: JobInputs


class ServiceRun:
    """The Run of a service's job (runs.py has the promises)."""

    def __init__(self, engine: Engine, services: Services, job: JobRecord) -> None:
        self._engine = engine
        self._services = services
        self._job = job
        self._stop = Stop()
        self._is_retired = threading.Event()
        self._has_ended = False  # the process that runs now
        self._wake = threading.Event()
        self._is_through = job.is_serving
        self._tries = 0
        self._thread = threading.Thread(target=self._run, name=f"service-{job.id[:8]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()

    def cancel(self, reason: str) -> None:
        self._stop.ask(reason)

    @property
    def _source(self) -> Source:
        return Source(self._job.pipeline, self._job.id)

    def _run(self) -> None:
        try:
            self._work()
        except Closed:
            pass
        except PachletError as error:
            self._fail(error.message + (f" ({error.hint})" if error.hint else ""))
        except Exception as error:
            log.exception("job %s failed; this is a bug of pachlet", self._job.id)
            self._fail(f"{type(error).__name__}: {error} (a bug of pachlet; the server's log has more)")
        finally:
            self._services.is_over(self._job.pipeline, self._job.key)

    def _work(self) -> None:
        with self._engine.database.read() as db:
            pipeline = get_pipeline(db, self._job.pipeline, self._job.version)
        if not self._begin():
            return
        prepared = self._prepare(pipeline)
        planned, inputs = self._plan(pipeline, prepared)
        version = _Version(pipeline, prepared, planned, inputs)
        self._keep(version)
        if self._is_retired.is_set():
            self._succeed()

    def _begin(self) -> bool:
        """Say that the work begins; False if the job is over, or a newer one is to be served instead."""
        with self._engine.transactions.start() as txn:
            self._job = job = jobs.get_job(txn.db, self._job.key)
            if job.state not in (JobState.CREATED, JobState.RUNNING):
                return False
            serving = txn.db.value("newest_serving", pipeline=job.pipeline) or 0
            if serving > job.key:
                self._is_retired.set()
            elif not job.is_serving and txn.db.value("newer_ready_job", pipeline=job.pipeline, key=job.key):
                self._pass_over(txn, job)
                return False
            elif job.state == JobState.CREATED:
                jobs.start_job(txn, job)
        if self._is_retired.is_set():
            self._succeed()
            return False
        return True

    def _pass_over(self, txn: Transaction, job: JobRecord) -> None:
        """End a job whose turn has come when its commit is no more the newest: it is done, and never served."""
        if job.state == JobState.CREATED:
            jobs.start_job(txn, job)
            job = jobs.get_job(txn.db, job.key)
        jobs.finish_job(txn, job)
        write_line(txn.db, self._source, "a newer commit is there, which is served instead", txn.now)

    def _prepare(self, pipeline: PipelineRecord) -> Prepared:
        image = None
        if self._job.image:
            image = image_of(read_json(self._job.image))
        return prepare(self._engine, pipeline, self._source, image)

    def _plan(self, pipeline: PipelineRecord, prepared: Prepared) -> tuple[PlannedDatum, JobInputs]:
        with self._engine.database.read() as db:
            inputs = JobInputs(self._engine.files, commits.upstream(db, self._job.output))
        found = list(datums_of(pipeline, inputs))
        if len(found) != 1:
            raise Refused(
                "services must have a single datum",
                hint=f'this one has {len(found)}; the glob "/" makes one of all files, if there are any',
            )
        image = json.dumps(image_facts(prepared))
        with self._engine.database.write() as database:
            database.run("plan_job", key=self._job.key, image=image, total=1, skipped=0, plan="{}")
        return PlannedDatum(0, found[0], datum_hash(found[0], pipeline.salt)), inputs

    def _keep(self, version: _Version) -> None:
        """Keep the process running until the job is over."""
        patience = Patience()
        self._tries = version.pipeline.datum_tries
        worker = f"pipeline-{version.pipeline.name}-v{version.pipeline.version}"
        folder = Path(self._engine.scratch) / f"service-{self._job.key}"
        lines = StandingLog(
            self._engine.logbook,
            self._engine.clock,
            Source(self._job.pipeline, self._job.id, version.planned.datum.id, worker),
        )
        while not self._stop:
            try:
                self._services.open_port(version.pipeline, self._job.key)
                session = open_session(
                    self._engine, version.pipeline, version.prepared, folder, worker, "inner"
                )
            except FailedPrecondition as error:
                self._wait(error.message, patience.after(0))
                continue
            try:
                self._stop.watch(session)
                outcome = self._run_once(version, session, lines)
            finally:
                session.close()
            if self._stop:
                return
            self._tries -= 1
            reason = f"user code ended: {outcome.reason or 'exit status 0'}"
            if not self._is_through and self._tries <= 0:
                raise Refused(f"the service never answered; {reason}")
            self._wait(reason, patience.after(outcome.seconds))

    def _run_once(self, version: _Version, session: Session, lines: StandingLog) -> Outcome:
        self._lay_out(version, session)
        environ = datum_environ(version.planned.datum, version.inputs.commit_id, self._job.id)
        outcomes: list[Outcome] = []

        def attempt() -> None:
            try:
                outcomes.append(session.run(environ, lines.add))
            finally:
                self._has_ended = True
                self._wake.set()

        self._has_ended = False
        running = threading.Thread(target=attempt)
        self._engine.logbook.master(self._source, "starting the service")
        running.start()
        port = internal_port(version.pipeline)
        backend = Backend(lambda: session.connect(port))
        try:
            self._watch(version, session, backend, running)
        except BaseException:
            session.kill("the service could not be let through", for_good=True)
            raise
        finally:
            running.join()
            self._services.is_gone(self._job.pipeline, backend)
            lines.end()
        return outcomes[0] if outcomes else Outcome(False, "its output could not be kept", None, 0.0, None)

    def _lay_out(self, version: _Version, session: Session) -> None:
        found = {each.path: each for each in input_files(version.inputs, version.planned.datum)}
        files = self._engine.files

        def read(missing: Sequence[InputFile]) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
            for each in missing:
                contents = (entry.content for entry in found[each.path].entries)
                yield each, chain.from_iterable(map(files.read, contents))

        session.clear()
        Layout(session.pfs).lay_out(map(as_input_file, found.values()), read)

    def _watch(
        self, version: _Version, session: Session, backend: Backend, running: threading.Thread
    ) -> None:
        """Let the process through once it answers, and see it out when another one does."""
        spec = version.pipeline.spec
        within, path, started = answers_within(spec), health_path(spec), time.monotonic()
        while running.is_alive() and not self._stop:
            if answers(backend.connect, path):
                break
            if time.monotonic() - started > within:
                reason = f"it did not answer on port {internal_port(version.pipeline)} within {within:g} s"
                session.kill(reason)
                self._tries = 0
                return
            running.join(_LOOK_SECONDS)
        else:
            return
        if not self._is_through:
            self._go_through(version)
        self._say(PipelineState.RUNNING, version.prepared.image.warning)
        self._engine.logbook.master(self._source, "the service answers")
        if not self._services.answers(self._job.pipeline, self._job.key, backend, self._retire):
            self._retire()
        while not self._has_ended and not self._is_retired.is_set():
            self._wake.wait()
            self._wake.clear()
        if self._is_retired.is_set():
            self._services.drain(self._job.pipeline, backend)
            self._stop.ask("a newer version answers")

    def _retire(self) -> None:
        self._is_retired.set()
        self._wake.set()

    def _go_through(self, version: _Version) -> None:
        """Write down that this job serves: its output is settled, and the job goes on."""
        writer = self._engine.files.store.writer()
        records = make_records(writer, [self._settled(version)])
        rows = writer.seal()
        with self._engine.transactions.start() as txn:
            job = jobs.get_job(txn.db, self._job.key)
            if job.state != JobState.RUNNING:
                self._stop.ask("the job was ended")
                raise Rollback
            if not job.is_serving:
                record_put(txn.db, rows, [writer])
                store_records(txn, job, records)
                txn.db.run("serve_job", key=job.key)
                jobs.finish_commits(txn, job)
        self._is_through = True

    def _settled(self, version: _Version) -> Settled:
        pipeline, prepared = version.pipeline, version.prepared
        now = self._engine.clock.now()
        work = Work(
            job=self._job.id,
            project=pipeline.project,
            pipeline=pipeline.name,
            version=pipeline.version,
            image=prepared.image,
            transform=transform_of(pipeline.spec),
            environ={},
            tries=1,
            timeout=None,
        )
        offer = Offer(
            self._job,
            pipeline,
            work,
            prepared,
            version.inputs,
            deque(),
            1,
            lambda: None,
            lambda problem: None,
        )
        return Settled(
            offer=offer,
            planned=version.planned,
            result=Result(
                state=DatumState.SUCCESS,
                reason="",
                tries=1,
                provenance=what_ran(prepared, work),
                seconds={"download": 0.0, "process": 0.0},
                download_bytes=0,
                peak_memory=None,
            ),
            inputs=input_files(version.inputs, version.planned.datum),
            outputs=[],
            upload_seconds=0.0,
            writer=None,
            started=now,  # what is recorded is that it answers
            finished=now,
        )

    def _wait(self, reason: str, seconds: float) -> None:
        self._say(PipelineState.CRASHING, reason)
        self._engine.logbook.master(self._source, f"{reason}; the service is started again in {seconds:g} s")
        self._stop.event.wait(seconds)

    def _say(self, state: PipelineState, reason: str) -> None:
        """Say how the service is; but of one that serves, not of one that is still to be let through beside it."""
        self._engine.logbook.flush()
        with self._engine.database.write() as db:
            serving = db.value("newest_serving", pipeline=self._job.pipeline)
            if serving not in (None, self._job.key):
                state, reason = PipelineState.RUNNING, f"{reason} (job {self._job.id}); the one before serves"
            db.run("set_pipeline_state", key=self._job.pipeline, state=state, reason=reason)

    def _succeed(self) -> None:
        with self._engine.transactions.start() as txn:
            job = jobs.get_job(txn.db, self._job.key)
            if job.state != JobState.RUNNING:
                raise Rollback
            jobs.succeed_job(txn, job)

    def _fail(self, reason: str) -> None:
        if self._stop or self._engine.database.changes.is_closed:
            return
        with self._engine.transactions.start() as txn:
            row = txn.db.first("get_job_by_key", key=self._job.key)
            if row is None or JobState(row["state"]).is_terminal:
                raise Rollback
            jobs.end_job(txn, JobRecord.of(row), JobState.FAILURE, reason)
        self._say(PipelineState.CRASHING, reason)
        self._engine.logbook.master(self._source, f"job failed: {reason}")
