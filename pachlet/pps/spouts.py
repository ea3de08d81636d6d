"""Keep the process of each spout running: a pipeline that has no input and writes its output itself, by the API.

A spout has no jobs. That its process is to run is said by the pipeline's row alone: it is there, it is not stopped,
and this is its version. So a restart of the server needs no recovery, and what happened to the process last stands in
the pipeline's state and reason.

Its process has the network of this machine, because what it is for is to bring in what comes from elsewhere; with the
annotation `pachlet/network: deny` it reaches the server and nothing else. A spout with a service is reached through
the server (services.py), so its network is its own, and it reaches the server alone, too.

Read next: standing.py (what it is given), pfs/commits.py (why it may write to its output branch).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pachlet.errors import PachletError
from pachlet.metadb.changes import Closed
from pachlet.pps.engine import Engine
from pachlet.pps.keeping import keep_looking
from pachlet.pps.logbook import Source
from pachlet.pps.permits import is_denied_network
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.services import Services, internal_port
from pachlet.pps.standing import Patience, Stop, open_session, prepare
from pachlet.pps.standing_log import StandingLog
from pachlet.pps.states import PipelineState
from pachlet.worker.forwarding import Backend
from pachlet.worker.interface import Outcome, Prepared, Reach, Session

log = logging.getLogger(__name__)


class Spouts:
    """Runs the spouts of the engine."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self._engine = engine
        self._services = services
        self._running: dict[int, SpoutRun] = {}
        self._thread = threading.Thread(
            target=keep_looking,
            args=(engine.database.changes, self._look, "the keeper of spouts"),
            name="spouts",
            daemon=True,
        )

    def start(self) -> None:
        """Start looking for spouts."""
        self._thread.start()

    def close(self) -> None:
        """End every process; the database's changes were closed before."""
        self._thread.join()
        for run in self._running.values():
            run.stop("the server stops")
        for run in self._running.values():
            run.join()

    def _look(self) -> None:
        with self._engine.database.read() as db:
            wanted = {row["key"]: row["version"] for row in db.all("spouts_to_run")}
            new = [get_pipeline(db, key) for key in wanted if key not in self._running]
        for key, run in list(self._running.items()):
            if not run.is_alive():
                del self._running[key]
                self._engine.database.changes.announce()  # look once more: it may be wanted in another version
            elif wanted.get(key) != run.version:
                run.stop("the pipeline was stopped, changed or deleted")
        for pipeline in new:
            run = SpoutRun(self._engine, self._services, pipeline)
            self._running[pipeline.key] = run
            run.start()


class SpoutRun:
    """One version of a spout, in a thread of its own."""

    def __init__(self, engine: Engine, services: Services, pipeline: PipelineRecord) -> None:
        self._engine = engine
        self._services = services
        self._port = internal_port(pipeline)
        self._pipeline = pipeline
        self.version = pipeline.version
        self._worker = f"pipeline-{pipeline.name}-v{pipeline.version}"
        self._source = Source(pipeline.key, "", worker=self._worker)
        self._stop = Stop()
        self._last_reason = ""
        self._thread = threading.Thread(target=self._run, name=f"spout-{pipeline.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, reason: str) -> None:
        """Have the process end; returns at once."""
        self._stop.ask(reason)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        patience, lines = Patience(), StandingLog(self._engine.logbook, self._engine.clock, self._source)
        prepared: Prepared | None = None
        try:
            while not self._stop:
                try:
                    prepared = prepared or self._prepare()
                    outcome = self._keep(prepared, lines)
                except Closed:
                    return
                except PachletError as error:
                    if self._engine.database.changes.is_closed:  # an installation ends with the server
                        return
                    outcome = _not_begun(error.message)
                except Exception as error:
                    log.exception("spout %s failed; this is a bug of pachlet", self._pipeline.name)
                    outcome = _not_begun(f"{type(error).__name__}: {error}")
                if not self._stop:
                    self._wait(outcome, patience.after(outcome.seconds))
        finally:
            self._services.is_over(self._pipeline.key, self.version)
            self._engine.database.changes.announce()

    def _prepare(self) -> Prepared:
        prepared = prepare(self._engine, self._pipeline, self._source)
        self._engine.logbook.master(self._source, f"its code is {prepared.image.digest}")
        return prepared

    def _keep(self, prepared: Prepared, lines: StandingLog) -> Outcome:
        """Run the process until it ends."""
        folder = Path(self._engine.scratch) / f"spout-{self._pipeline.key}"
        is_inner = self._port or is_denied_network(self._pipeline.spec, self._engine.network)
        reach: Reach = "inner" if is_inner else "host"
        session = open_session(self._engine, self._pipeline, prepared, folder, self._worker, reach)
        try:
            self._stop.watch(session)
            return self._run_once(session, prepared, lines)
        finally:
            session.close()

    def _run_once(self, session: Session, prepared: Prepared, lines: StandingLog) -> Outcome:
        again = f"started again; before, {self._last_reason}" if self._last_reason else ""
        self._say(PipelineState.RUNNING, again or prepared.image.warning)
        self._engine.logbook.worker(self._source, "beginning to run user code")
        with self._reached(session):
            outcome = session.run({}, lines.add)
        lines.end()
        self._engine.logbook.worker(
            self._source, f"finished running user code after {outcome.seconds:.3f} seconds"
        )
        return replace(outcome, reason=f"user code ended: {outcome.reason or 'exit status 0'}")

    @contextlib.contextmanager
    def _reached(self, session: Session) -> Iterator[None]:
        """Let through to the process who comes to the port of the spout's service, if it has one."""
        if not self._port:
            yield
            return
        self._services.open_port(self._pipeline, self.version)
        backend = Backend(lambda: session.connect(self._port))
        self._services.answers(self._pipeline.key, self.version, backend, lambda: None)
        try:
            yield
        finally:
            self._services.is_gone(self._pipeline.key, backend)

    def _wait(self, outcome: Outcome, seconds: float) -> None:
        """Say why the process is not running, and let some time pass."""
        self._last_reason = outcome.reason
        # A step that says all that it has to say and ends is in order; it is asked again, as upstream.
        self._say(PipelineState.RUNNING if outcome.ok else PipelineState.CRASHING, outcome.reason)
        self._engine.logbook.master(self._source, f"{outcome.reason}; it is started again in {seconds:g} s")
        self._stop.event.wait(seconds)

    def _say(self, state: PipelineState, reason: str) -> None:
        self._engine.logbook.flush()
        with self._engine.database.write() as db:
            db.run(
                "set_state_of_version",
                key=self._pipeline.key,
                version=self.version,
                state=state,
                reason=reason,
            )


def _not_begun(reason: str) -> Outcome:
    return Outcome(False, reason, None, 0.0, None)
