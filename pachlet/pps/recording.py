"""Record settled datums: what ran on what, what came of it, and the files that were written.

A record answers later what ran on what: image and code digest, command, input files with their commits and hashes,
times. It goes to the database and, as Pachyderm does, to the meta repo. It is written in one transaction with the
datum's output, so a datum happened, or it did not.

Every transaction waits for the disk, and so does every worker that waits for one. So workers hand over what they
settled and go on; a thread of its own records all that has come together in one transaction. The last datums of a
job are recorded at once, and so is one whose worker waits for that; while more are to come they gather for a moment,
so that those that come fast share a write, and what follows each write (whoever waits for a change looks).

Read next: running.py (what happens when all are recorded), local_head.py (who hands over).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from pachlet.pfs.index import add_chunks, publish_ahead
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.pps.datum_folder import Found
from pachlet.pps.jobs import JobRecord
from pachlet.pps.leases import Leases, Offer
from pachlet.pps.logbook import Logbook
from pachlet.pps.planning import PlannedDatum, output_prefix
from pachlet.pps.skipping import code_of
from pachlet.pps.states import DatumState, JobState
from pachlet.storage.chunks import ChunkWriter
from pachlet.storage.content import Content, write_content
from pachlet.storage.fileset import Diff
from pachlet.worker.head import LeaseLost, Result

log = logging.getLogger(__name__)
_MOST_WAITING = 256
"""So many datums wait to be recorded before workers have to wait with them."""
_GATHER = 0.05
"""Seconds that a datum waits for others at most."""


@dataclass(eq=False)
class Settled:
    """A datum that was settled under a live lease, and is to be recorded."""

    offer: Offer
    planned: PlannedDatum
    result: Result
    inputs: list[Found]
    outputs: list[tuple[str, Content]]
    upload_seconds: float
    writer: ChunkWriter
    """Keeps the garbage collector off what is referred to until it is stored."""
    is_awaited: bool = False
    """Whether a worker waits until it is recorded."""
    record: str = ""
    meta: list[tuple[str, Content]] = field(init=False)
    """What is kept of it in its folder of the meta repo, by name."""
    recorded: Future[None] = field(default_factory=Future)

    def __post_init__(self) -> None:
        record = _record(self)
        packages = _take_packages(record["image"]["provenance"])
        self.record = json.dumps(record)
        kept = [("meta", self.record.encode()), *([("packages", packages)] if packages else [])]
        self.meta = [(name, write_content(self.writer, [text])) for name, text in kept]
        for found in self.inputs:
            for entry in found.entries:
                self.writer.lean_on(digest for digest, _ in entry.content.chunks)

    @property
    def stats(self) -> dict[str, int]:
        """What the job's row sums up, times in nanoseconds."""
        seconds = {**self.result.seconds, "upload": self.upload_seconds}
        return {
            **{f"{each}_time": int(seconds[each] * 1e9) for each in ("download", "process", "upload")},
            "download_bytes": self.result.download_bytes,
            "upload_bytes": sum(content.size for _, content in self.outputs),
        }


class Recorder:
    """Records settled datums, in a thread of its own."""

    def __init__(self, transactions: Transactions, leases: Leases, logbook: Logbook) -> None:
        self._transactions = transactions
        self._leases = leases
        self._logbook = logbook
        self._changed = threading.Condition()
        self._waiting: list[Settled] = []
        self._number_of: Counter[Offer] = Counter()
        self._recording: Counter[Offer] = Counter()
        self._is_enough = False  # nothing is won by waiting for more
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to record."""
        self._thread.start()

    def add(self, settled: Settled) -> None:
        """Hand over a datum; its `recorded` says when it is on disk, or why not."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING or self._closed)
            self._waiting.append(settled)
            self._number_of[settled.offer] += 1
            # What is being recorded now still counts as left.
            number = self._number_of[settled.offer] + self._recording[settled.offer]
            is_rest = number >= settled.offer.left
            self._is_enough |= is_rest or settled.is_awaited or len(self._waiting) >= _MOST_WAITING // 2
            if self._is_enough or len(self._waiting) == 1:
                self._changed.notify_all()

    def close(self) -> None:
        """Record what was handed over, and stop."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                self._changed.wait_for(lambda: self._is_enough or self._closed, _GATHER)
                batch, self._waiting = self._waiting, []
                self._recording, self._number_of = self._number_of, Counter()
                self._is_enough = False
                self._changed.notify_all()
            if not batch:
                return
            by_offer: dict[Offer, list[Settled]] = defaultdict(list)
            for each in batch:
                by_offer[each.offer].append(each)
            self._record(by_offer)

    def _record(self, by_offer: dict[Offer, list[Settled]]) -> None:
        try:
            gone = self._store(by_offer)
        except Exception as problem:
            if len(by_offer) > 1:  # it may be the fault of one of them
                for offer, some in by_offer.items():
                    self._record({offer: some})
                return
            self._fail(by_offer, problem)
            return
        for offer, some in by_offer.items():
            if offer in gone:
                self._leases.withdraw(offer.job.key, "the job was ended")
            for each in some:
                if offer in gone:
                    each.recorded.set_exception(LeaseLost(f"job {offer.job.id} was ended"))
                else:
                    each.recorded.set_result(None)
            if offer not in gone:
                self._leases.recorded(offer, len(some))

    def _fail(self, by_offer: dict[Offer, list[Settled]], problem: Exception) -> None:
        for offer, some in by_offer.items():
            for each in some:
                each.recorded.set_exception(problem)
            self._leases.fail(offer, problem)

    def _store(self, by_offer: dict[Offer, list[Settled]]) -> set[Offer]:
        """Record datums in one transaction; return the offers whose jobs were ended, of which nothing is recorded."""
        rows = [row for some in by_offer.values() for each in some for row in each.writer.seal()]
        rows_left = publish_ahead(self._transactions.database, rows)
        gone = set()
        with self._transactions.start() as txn:
            add_chunks(txn.db, rows_left)
            for offer, some in by_offer.items():
                row = txn.db.first("get_job_by_key", key=offer.job.key)
                if row is None or row["state"] != JobState.RUNNING:
                    gone.add(offer)
                else:
                    store_settled(txn, offer.job, some)
            self._logbook.write(txn.db)
        return gone


def store_settled(txn: Transaction, job: JobRecord, some: Iterable[Settled]) -> None:
    """Record datums of a job and stage their output, in the caller's transaction."""
    output, meta = Diff(), Diff()
    sums: dict[str, int] = defaultdict(int)
    failed = ""
    for each in some:
        id, state = each.planned.datum.id, DatumState(each.result.state)
        _add_output(output, id, each)
        _add_meta(meta, id, each)
        record = txn.db.run(
            "add_datum_record",
            hash=each.planned.hash,
            code=_code(each),
            state=state,
            made_by=job.id,
            record=each.record,
        )
        txn.db.run("add_datum", job=job.key, id=id, record=record)
        sums["processed" if state == DatumState.SUCCESS else str(state)] += 1
        for name, value in each.stats.items():
            sums[name] += value
        if state == DatumState.FAILED:
            failed = min(failed or id, id)
    counts = {each: sums[each] for each in ("processed", "failed", "recovered", *_STATS)}
    txn.db.run("count_in_job", job=job.key, failed_datum=failed, **counts)
    txn.db.run("add_staged", commit=job.output, diff=output.encode())
    txn.db.run("add_staged", commit=job.meta, diff=meta.encode())


_STATS = ("download_time", "process_time", "upload_time", "download_bytes", "upload_bytes")


def _add_output(diff: Diff, id: str, settled: Settled) -> None:
    for path, content in settled.outputs:
        diff.append(path, id, content)


def _add_meta(diff: Diff, id: str, settled: Settled) -> None:
    """Mirror a datum in the meta repo: its record, its inputs and its output, by reference."""
    for name, content in settled.meta:
        diff.append(f"/meta/{id}/{name}", id, content)
    for found in settled.inputs:
        for entry in found.entries:
            diff.append(f"/pfs/{id}/{found.path}", id, entry.content)
    prefix = output_prefix(id)
    for path, content in settled.outputs:
        diff.append(prefix + path[1:], id, content)


def _code(settled: Settled) -> str:
    offer, digest = settled.offer, _digest(settled)
    if digest not in offer.codes:
        offer.codes[digest] = code_of(digest, offer.pipeline.spec["transform"])
    return offer.codes[digest]


def _digest(settled: Settled) -> str:
    """Return the digest of the image that the worker says it ran: a tag may have moved since the job was planned."""
    return str(settled.result.provenance.get("digest") or settled.offer.work.image.digest)


def _take_packages(facts: dict[str, Any]) -> bytes:
    """Put a digest in the place of the list of packages, and return the list, `name==version` a line.

    All datums of an environment have the same list, so it is stored once, however many files show it.
    """
    packages = facts.get("packages")
    if not isinstance(packages, list):
        return b""
    text = "".join(f"{each}\n" for each in packages).encode()
    facts["packages"] = f"sha256:{hashlib.sha256(text).hexdigest()}"
    return text


def _record(settled: Settled) -> dict[str, Any]:
    offer, result, datum = settled.offer, settled.result, settled.planned.datum
    pipeline, image = offer.pipeline, offer.work.image
    stats = settled.stats
    return {
        "datum": datum.id,
        "job": offer.job.id,
        "pipeline": {"project": pipeline.project, "name": pipeline.name},
        "version": pipeline.version,
        "spec_commit": pipeline.spec_commit,
        "hash": settled.planned.hash,
        "index": settled.planned.position,
        "state": result.state,
        "reason": result.reason,
        "tries": result.tries,
        "image": {
            "reference": image.reference,
            "digest": _digest(settled),
            "kind": image.kind,
            "provenance": dict(result.provenance),
        },
        "code": _code(settled),
        "cmd": list(pipeline.spec["transform"].get("cmd", [])),
        "inputs": [
            {
                "name": file.name,
                "project": file.repo.project,
                "repo": file.repo.name,
                "type": file.repo.type,
                "branch": file.branch,
                "commit": offer.inputs.commit(file.repo).commit.id,
                "path": file.path,
                "hash": file.hash.hex(),
                "size": file.size,
            }
            for file in datum.files
        ],
        "stats": {
            **{f"{each}_seconds": stats[f"{each}_time"] / 1e9 for each in ("download", "process", "upload")},
            "download_bytes": stats["download_bytes"],
            "upload_bytes": stats["upload_bytes"],
            "peak_memory": result.peak_memory,
        },
    }
