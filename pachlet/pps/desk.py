"""What happens with a lease on the server's side, whoever the worker is: its inputs, its log, its settled datums.

Read next: local_head.py and api/work_service.py (who calls), recording.py (what becomes of a settled datum).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from pachlet.pfs.files import Files
from pachlet.pps.datum_folder import Found, datum_environ, input_files
from pachlet.pps.datum_records import Settled
from pachlet.pps.leases import Held, Leases, Loss
from pachlet.pps.logbook import Logbook, Source
from pachlet.pps.recording import Recorder
from pachlet.storage.chunks import ChunkWriter
from pachlet.storage.content import Content
from pachlet.storage.tombstones import gone
from pachlet.worker.head import InputFile, Lease, Output, Result, Task


class Desk:
    """Where workers' heads meet the store."""

    def __init__(self, files: Files, leases: Leases, recorder: Recorder, logbook: Logbook) -> None:
        self.files = files
        self.leases = leases
        self.logbook = logbook
        self._recorder = recorder

    def begin(
        self, token: str, datum: str, known: list[Found] | None = None, ago: float = 0.0
    ) -> list[Found]:
        """Return the files of a datum, which is begun by that, or was some seconds ago; `known` are they, if looked up.

        Raises:
            LeaseLost: the lease is void, or the datum is settled already.
            Purged: a file was purged.
        """
        held, planned = self.leases.begin(token, datum, ago)
        found = input_files(held.offer.inputs, planned.datum) if known is None else known
        self._refuse_purged(found)
        held.inputs = datum, found
        return found

    def _refuse_purged(self, found: Sequence[Found]) -> None:
        """Raise if a file was purged: a worker might have its bytes from an earlier datum, and not ask for them."""
        store = self.files.store
        for each in found if store.tombstones else ():
            chunks = (hash for entry in each.entries for hash, _ in entry.content.chunks)
            if not each.is_empty and (stone := store.purged(chunks)) is not None:
                raise gone(stone)

    def inputs(self, token: str, datum: str) -> list[Found]:
        """Return the files of a datum, which may have been begun; raise LeaseLost."""
        held, planned = self.leases.find(token, datum)
        if held.inputs[0] == datum:
            return held.inputs[1]
        return input_files(held.offer.inputs, planned.datum)

    def read(self, found: Found) -> Iterator[bytes]:
        """Yield the bytes of a file of a datum."""
        if not found.is_empty:
            for entry in found.entries:
                yield from self.files.read(entry.content)

    def settle(
        self,
        token: str,
        datum: str,
        result: Result,
        outputs: Sequence[tuple[str, Content | bytes]],
        writer: ChunkWriter | None,
        upload_seconds: float,
        *,
        is_awaited: bool = False,
        ago: float = 0.0,
    ) -> Future[None]:
        """Have a datum recorded; return what tells when it is on disk.

        That is soon, and at once if the worker waits for it. Its outputs are stored by `writer`, or small. The datum
        ended now, or some seconds ago.

        Raises:
            LeaseLost: the lease is void, or the datum is settled already.
        """
        inputs = self.inputs(token, datum)
        held, planned = self.leases.find(token, datum)
        times = self.leases.claim(token, datum, ago)
        settled = Settled(
            held.offer,
            planned,
            result,
            inputs,
            outputs,
            upload_seconds,
            writer,
            *times,
            is_awaited=is_awaited,
        )
        self._recorder.add(settled)
        return settled.recorded

    def give_up(self, loss: Loss, result: Result) -> None:
        """Have a datum recorded that the lease table gives to nobody any more; it wrote nothing."""
        offer, planned = loss.held.offer, loss.planned
        inputs = input_files(offer.inputs, planned.datum)
        self._recorder.add(
            Settled(offer, planned, result, inputs, [], 0.0, None, loss.started, loss.finished)
        )

    def prove(self, token: str, datum: str, result: Result, outputs: Sequence[tuple[str, Output]]) -> None:
        """Hand a datum of a proof to it; nothing is stored or recorded.

        Raises:
            LeaseLost: the lease is void, or the datum is settled already.
        """
        inputs = self.inputs(token, datum)
        held, planned = self.leases.find(token, datum)
        assert held.offer.proof is not None, "the datums of jobs are recorded"
        held.offer.proof.settle(planned, result, inputs, outputs)
        self.leases.claim(token, datum)
        self.leases.recorded(held.offer, 1)


def source_of(held: Held, datum: str, worker: str) -> Source:
    """Return whose the log lines about a datum are."""
    job = held.offer.job
    return Source(job.pipeline, job.id, datum, worker)


def lease_of(held: Held) -> Lease:
    """Return a lease as its worker sees it."""
    offer = held.offer
    tasks = [
        Task(each.datum.id, datum_environ(each.datum, offer.inputs.commit_id, offer.job.id))
        for each in held.todo.values()
    ]
    return Lease(held.token, offer.work, tasks, held.seconds)


def as_input_file(found: Found) -> InputFile:
    """Return a file of a datum as its worker sees it."""
    if found.is_empty:
        return InputFile(found.path, b"", 0)
    contents = [entry.content for entry in found.entries]
    chunks = [digest for content in contents for digest, _ in content.chunks]
    key = chunks[0] if len(chunks) == 1 else hashlib.blake2b(b"".join(chunks), digest_size=32).digest()
    return InputFile(found.path, key, sum(content.size for content in contents), found.is_lazy)
