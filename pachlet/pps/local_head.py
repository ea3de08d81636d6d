"""The head of the workers in the server's own process: they read the store and write to it themselves.

Read next: ../worker/head.py (what is promised), recording.py (what becomes of a settled datum).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from pachlet.pfs.files import Files
from pachlet.pps.datum_folder import Found, bring_in, datum_environ, input_files
from pachlet.pps.leases import Held, Leases
from pachlet.pps.logbook import Logbook, Source
from pachlet.pps.planning import PlannedDatum
from pachlet.pps.recording import Recorder, Settled
from pachlet.worker.head import AttemptLines, Hold, InputFile, Lease, Result, Task
from pachlet.worker.interface import Prepared


class LocalHead:
    """The Head beside the store (../worker/head.py has the promises)."""

    def __init__(self, files: Files, leases: Leases, recorder: Recorder, logbook: Logbook) -> None:
        self._files = files
        self._leases = leases
        self._recorder = recorder
        self._logbook = logbook
        self._held: dict[str, Held] = {}
        self._inputs: dict[str, tuple[str, list[Found]]] = {}

    def take(self, worker: str, seconds: float) -> Lease | None:
        held = self._leases.take(worker, seconds)
        if held is None:
            return None
        self._held[held.token] = held
        return lease_of(held)

    def hold(self, lease: Lease, hold: Hold) -> None:
        self._leases.hold(lease.token, hold)

    def prepare(self, lease: Lease, say: Callable[[str], None]) -> Prepared:
        return self._held[lease.token].offer.prepared

    def inputs(self, lease: Lease, task: Task) -> list[InputFile]:
        held, planned = self._leases.begin(lease.token, task.id)
        return [input_file(self._files, each) for each in self._inputs_of(held, planned)]

    def settle(self, lease: Lease, task: Task, result: Result, outputs: Iterable[tuple[str, Path]]) -> None:
        held, planned = self._leases.find(lease.token, task.id)
        started = time.monotonic()
        writer = self._files.store.writer()
        contents = bring_in(writer, outputs)
        settled = Settled(
            offer=held.offer,
            planned=planned,
            result=result,
            inputs=self._inputs_of(held, planned),
            outputs=contents,
            upload_seconds=time.monotonic() - started,
            writer=writer,
        )
        self._leases.claim(lease.token, task.id)
        self._recorder.add(settled)

    def _inputs_of(self, held: Held, planned: PlannedDatum) -> list[Found]:
        """Return what a datum reads; kept for the last one of a lease, which is tried, and then settled."""
        kept = self._inputs.get(held.token)
        if kept is None or kept[0] != planned.datum.id:
            kept = self._inputs[held.token] = planned.datum.id, input_files(held.offer.inputs, planned.datum)
        return kept[1]

    def should_yield(self, lease: Lease) -> bool:
        return self._leases.should_yield(lease.token)

    def attempt(self, lease: Lease, task: Task, worker: str) -> AbstractContextManager[AttemptLines]:
        return self._logbook.attempt(self._source(lease, task, worker))

    def say(self, lease: Lease, task: Task, worker: str, line: str) -> None:
        self._logbook.worker(self._source(lease, task, worker), line)

    def give_back(self, lease: Lease, problem: Exception | None = None) -> None:
        held = self._held.pop(lease.token)
        self._inputs.pop(lease.token, None)
        if problem is not None:
            self._leases.fail(held.offer, problem)
        self._leases.give_back(lease.token)

    def _source(self, lease: Lease, task: Task, worker: str) -> Source:
        job = self._held[lease.token].offer.job
        return Source(job.pipeline, job.id, task.id, worker)


def lease_of(held: Held) -> Lease:
    """Return a lease as its worker sees it."""
    offer = held.offer
    tasks = [
        Task(each.datum.id, datum_environ(each.datum, offer.inputs, offer.job.id))
        for each in held.todo.values()
    ]
    return Lease(held.token, offer.work, tasks, held.seconds)


def input_file(files: Files, found: Found) -> InputFile:
    """Return a file of a datum as a worker sees it."""
    if found.is_empty:
        return InputFile(found.path, b"", 0, lambda: iter(()))
    contents = [entry.content for entry in found.entries]

    def read() -> Iterator[bytes]:
        for content in contents:
            yield from files.read(content)

    chunks = [digest for content in contents for digest, _ in content.chunks]
    key = chunks[0] if len(chunks) == 1 else hashlib.blake2b(b"".join(chunks), digest_size=32).digest()
    return InputFile(found.path, key, sum(content.size for content in contents), read)
