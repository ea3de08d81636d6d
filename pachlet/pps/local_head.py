"""The head of the workers in the server's own process: they read the store and write to it themselves.

Read next: ../worker/head.py (what is promised), desk.py (what happens with a lease).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from pachlet.pps.datum_folder import Found, bring_in
from pachlet.pps.desk import Desk, as_input_file, lease_of, source_of
from pachlet.pps.leases import Held
from pachlet.pps.reading_ahead import ReadingAhead
from pachlet.storage.content import Content
from pachlet.worker.head import AttemptLines, Hold, InputFile, Lease, Output, Packed, Result, Task
from pachlet.worker.interface import Prepared
from pachlet.worker.outputs import take_small


class LocalHead:
    """The NearHead (../worker/head.py has the promises)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._leases = desk.leases
        self._held: dict[str, Held] = {}
        self._ahead: dict[str, ReadingAhead] = {}

    def take(self, worker: str, seconds: float) -> Lease | None:
        held = self._leases.take(worker, seconds)
        if held is None:
            return None
        self._held[held.token] = held
        self._ahead[held.token] = ReadingAhead(self._desk.files, held)
        return lease_of(held)

    def hold(self, lease: Lease, hold: Hold) -> None:
        self._leases.hold(lease.token, hold)

    def prepare(self, lease: Lease, say: Callable[[str], None]) -> Prepared:
        return self._held[lease.token].offer.prepared

    def inputs(self, lease: Lease, task: Task) -> list[InputFile]:
        return [as_input_file(each) for each in self._begin(lease, task, 0.0)]

    def _begin(self, lease: Lease, task: Task, ago: float) -> list[Found]:
        known = self._ahead[lease.token].take_found(task.id)
        return self._desk.begin(lease.token, task.id, known, ago)

    def read(
        self, lease: Lease, task: Task, files: Sequence[InputFile]
    ) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        found = {each.path: each for each in self._desk.inputs(lease.token, task.id)}
        wanted = [found[file.path] for file in files]
        yield from zip(files, self._ahead[lease.token].read(task.id, wanted), strict=True)

    def settle(self, lease: Lease, task: Task, result: Result, outputs: Iterable[tuple[str, Output]]) -> None:
        outputs = list(outputs)
        if self._is_proof(lease):
            self._desk.prove(lease.token, task.id, result, outputs)
            return
        started = time.monotonic()
        contents: Sequence[tuple[str, Content | bytes]] | None = take_small(outputs)
        writer = None
        if contents is None:
            store = self._desk.files.store
            writer = store.writer()
            contents = bring_in(store, writer, outputs, self._desk.inputs(lease.token, task.id))
        seconds = time.monotonic() - started
        self._desk.settle(lease.token, task.id, result, contents, writer, seconds)

    def pack(self, lease: Lease) -> Packed | None:
        if not self._held[lease.token].offer.is_for_companions:
            return None
        ahead = self._ahead[lease.token]
        files = {id: [(as_input_file(each), each) for each in some] for id, some in ahead.read_next().items()}
        contents = {
            file.key: ahead.bytes_of(each) for some in files.values() for file, each in some if file.size
        }
        return Packed({id: [file for file, _ in some] for id, some in files.items()}, contents)

    def begin(self, lease: Lease, task: Task, ago: float) -> None:
        self._begin(lease, task, ago)

    def record(
        self,
        lease: Lease,
        task: Task,
        result: Result,
        contents: Sequence[tuple[str, bytes]],
        seconds: float,
        ago: float,
    ) -> None:
        self._desk.settle(lease.token, task.id, result, contents, None, seconds, ago=ago)

    def lose(self, lease: Lease) -> None:
        offer = self._held[lease.token].offer
        offer.is_for_companions = False
        self._desk.logbook.master(
            offer.source,
            "a process that ran datums of this job is gone; what it had not told of is run again",
        )

    def should_yield(self, lease: Lease) -> bool:
        return self._leases.should_yield(lease.token)

    def attempt(self, lease: Lease, task: Task, worker: str) -> AbstractContextManager[AttemptLines]:
        if self._is_proof(lease):
            return nullcontext(_Unlogged())
        return self._desk.logbook.attempt(source_of(self._held[lease.token], task.id, worker))

    def say(self, lease: Lease, task: Task, worker: str, line: str) -> None:
        if not self._is_proof(lease):
            self._desk.logbook.worker(source_of(self._held[lease.token], task.id, worker), line)

    def give_back(self, lease: Lease, problem: Exception | None = None) -> None:
        held = self._held.pop(lease.token)
        del self._ahead[lease.token]
        if problem is not None:
            self._leases.fail(held.offer, problem)
        self._leases.give_back(lease.token)

    def _is_proof(self, lease: Lease) -> bool:
        held = self._held.get(lease.token)
        return held is not None and held.offer.proof is not None


class _Unlogged:
    """Takes what a datum of a proof prints: the log is that of the job."""

    def add(self, line: str) -> None:
        pass
