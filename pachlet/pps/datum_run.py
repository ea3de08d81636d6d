"""Run one datum: lay out its files, try its code, bring in its output, and say how it ended.

The record made here answers later what ran on what: image and code digest, command, input files with their commits and
hashes, times. It goes to the database and, as Pachyderm does, to the meta repo.

Read next: running.py (who records it).
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from pachlet.errors import PachletError
from pachlet.pfs.index import add_chunks
from pachlet.pfs.transactions import Transaction
from pachlet.pps.datum_folder import bring_in, datum_environ, input_entries, lay_out
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord
from pachlet.pps.logbook import Source
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.planning import JobInputs, PlannedDatum, output_prefix
from pachlet.pps.states import DatumState
from pachlet.storage.chunks import ChunkRow, ChunkWriter
from pachlet.storage.content import Content, write_content
from pachlet.storage.fileset import Diff
from pachlet.worker.interface import Outcome, Prepared, Session

DEFAULT_TRIES = 3


@dataclass(frozen=True)
class Settled:
    """How a datum ended, ready to be recorded."""

    planned: PlannedDatum
    state: DatumState
    record: dict[str, Any]
    output: Diff
    meta: Diff
    chunks: list[ChunkRow]
    writer: ChunkWriter
    """Keeps the garbage collector off what the diffs refer to until they are stored."""

    def store(self, txn: Transaction, job: JobRecord) -> None:
        """Record the datum and stage its output, all in the caller's transaction."""
        add_chunks(txn.db, self.chunks)
        txn.db.run("add_staged", commit=job.output, diff=self.output.encode())
        txn.db.run("add_staged", commit=job.meta, diff=self.meta.encode())
        txn.db.run(
            "add_datum",
            job=job.key,
            id=self.planned.datum.id,
            position=self.planned.position,
            hash=self.planned.hash,
            state=self.state,
            made_by=job.id,
            record=json.dumps(self.record),
        )
        stats = self.record["stats"]
        txn.db.run(
            "count_in_job",
            job=job.key,
            id=self.planned.datum.id,
            state=self.state,
            **{
                f"{each}_time": int(stats[f"{each}_seconds"] * 1e9)
                for each in ("download", "process", "upload")
            },
            **{f"{each}_bytes": stats[f"{each}_bytes"] for each in ("download", "upload")},
        )


class DatumRun:
    """One datum on one worker."""

    def __init__(
        self,
        engine: Engine,
        job: JobRecord,
        pipeline: PipelineRecord,
        prepared: Prepared,
        inputs: JobInputs,
        planned: PlannedDatum,
        worker: str,
    ) -> None:
        self._engine = engine
        self._job = job
        self._pipeline = pipeline
        self._prepared = prepared
        self._inputs = inputs
        self._planned = planned
        self._datum = planned.datum
        self._source = Source(job.pipeline, job.id, planned.datum.id, worker)
        self._stats = {"download_seconds": 0.0, "process_seconds": 0.0, "upload_seconds": 0.0}
        self._bytes = {"download_bytes": 0, "upload_bytes": 0}

    def settle(self, session: Session, cancelled: threading.Event) -> Settled | None:
        """Try the datum until it succeeds or `datum_tries` is used up; None if the job was cancelled."""
        tries = int(self._pipeline.spec.get("datum_tries") or DEFAULT_TRIES)
        logbook, writer = self._engine.logbook, self._engine.files.store.writer()
        reason, state, outputs = "", DatumState.FAILED, []
        for attempt in range(1, tries + 1):
            outcome = self._attempt(session)
            if cancelled.is_set():
                return None
            if outcome.ok:
                try:
                    outputs = self._upload(session, writer)
                except PachletError as error:
                    outcome = Outcome(False, error.message, None, 0.0, None)
            if outcome.ok:
                reason, state = "", DatumState.SUCCESS
                break
            reason = outcome.reason
            logbook.worker(self._source, f"attempt {attempt} of {tries} failed: {reason}")
            state = DatumState.RECOVERED if self._recovers(session) else DatumState.FAILED
            if cancelled.is_set():
                return None
        session.clear()
        record = self._record(state, reason, attempt)
        return Settled(
            planned=self._planned,
            state=state,
            record=record,
            output=self._output_diff(outputs),
            meta=self._meta_diff(writer, record, outputs),
            chunks=writer.seal(),
            writer=writer,
        )

    def _attempt(self, session: Session) -> Outcome:
        session.clear()
        started = time.monotonic()
        self._bytes["download_bytes"] = lay_out(self._engine.files, self._inputs, self._datum, session.pfs)
        self._stats["download_seconds"] = time.monotonic() - started
        environ = datum_environ(self._datum, self._inputs, self._job.id)
        logbook = self._engine.logbook
        logbook.worker(self._source, "beginning to run user code")
        with logbook.attempt(self._source) as lines:
            outcome = session.run(environ, lines.add, self._pipeline.datum_timeout)
        self._stats["process_seconds"] += outcome.seconds
        logbook.worker(self._source, f"finished running user code after {outcome.seconds:.3f} seconds")
        return outcome

    def _recovers(self, session: Session) -> bool:
        """Run err_cmd, if there is one, after a failed attempt; tell whether it succeeded."""
        if not self._pipeline.spec["transform"].get("err_cmd"):
            return False
        environ = datum_environ(self._datum, self._inputs, self._job.id)
        with self._engine.logbook.attempt(self._source) as lines:
            outcome = session.run_err_cmd(environ, lines.add, self._pipeline.datum_timeout)
        return outcome.ok

    def _upload(self, session: Session, writer: ChunkWriter) -> list[tuple[str, Content]]:
        started = time.monotonic()
        outputs = bring_in(writer, session.pfs)
        self._stats["upload_seconds"] = time.monotonic() - started
        self._bytes["upload_bytes"] = sum(content.size for _, content in outputs)
        return outputs

    def _record(self, state: DatumState, reason: str, tries: int) -> dict[str, Any]:
        image = self._prepared.image
        return {
            "datum": self._datum.id,
            "job": self._job.id,
            "pipeline": {"project": self._pipeline.project, "name": self._pipeline.name},
            "version": self._pipeline.version,
            "spec_commit": self._pipeline.spec_commit,
            "hash": self._planned.hash,
            "index": self._planned.position,
            "state": str(state),
            "reason": reason,
            "tries": tries,
            "image": {
                "reference": image.reference,
                "digest": image.digest,
                "kind": image.kind,
                "provenance": dict(self._prepared.provenance),
            },
            "cmd": list(self._pipeline.spec["transform"].get("cmd", [])),
            "inputs": [
                {
                    "name": file.name,
                    "project": file.repo.project,
                    "repo": file.repo.name,
                    "type": file.repo.type,
                    "branch": file.branch,
                    "commit": self._inputs.commit(file.repo).commit.id,
                    "path": file.path,
                    "hash": file.hash.hex(),
                    "size": file.size,
                }
                for file in self._datum.files
            ],
            "stats": {**self._stats, **self._bytes},
        }

    def _output_diff(self, outputs: list[tuple[str, Content]]) -> Diff:
        diff = Diff()
        for path, content in outputs:
            diff.append(path, self._datum.id, content)
        return diff

    def _meta_diff(
        self, writer: ChunkWriter, record: dict[str, Any], outputs: list[tuple[str, Content]]
    ) -> Diff:
        """Mirror the datum in the meta repo: its record, its inputs and its output, by reference."""
        id, diff = self._datum.id, Diff()
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        diff.append(f"/meta/{id}/meta", id, write_content(writer, [text.encode()]))
        for file, entry in input_entries(self._inputs, self._datum):
            writer.lean_on(digest for digest, _ in entry.content.chunks)
            diff.append(f"/pfs/{id}/{file.name}{entry.path}", id, entry.content)
        for path, content in outputs:
            diff.append(output_prefix(id) + path[1:], id, content)
        return diff
