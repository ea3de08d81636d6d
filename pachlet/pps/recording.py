"""Record settled datums: each with its output in one transaction, so that a datum happened, or it did not.

Every transaction waits for the disk, and so does every worker that waits for one. So workers hand over what they
settled and go on; a thread of its own records all that has come together in one transaction. The last datums of a
job are recorded at once, and so is one whose worker waits for that; while more are to come they gather for a moment,
so that those that come fast share a write, and what follows each write (whoever waits for a change looks).

Read next: datum_records.py (what is recorded), running.py (what happens when all are recorded), local_head.py (who
hands over).
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence

from pachlet.pfs.index import publish_ahead, record_put
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.pps.datum_records import Record, Settled, make_records
from pachlet.pps.jobs import JobRecord
from pachlet.pps.leases import Leases, Offer
from pachlet.pps.logbook import Logbook
from pachlet.pps.planning import output_prefix
from pachlet.pps.states import DatumState, JobState
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.fileset import Diff
from pachlet.worker.head import LeaseLost

log = logging.getLogger(__name__)
_MOST_WAITING = 256
"""So many datums wait to be recorded before workers have to wait with them."""
_GATHER = 0.05
"""Seconds that a datum waits for others at most."""


class Recorder:
    """Records settled datums, in a thread of its own."""

    def __init__(
        self, store: ChunkStore, transactions: Transactions, leases: Leases, logbook: Logbook
    ) -> None:
        self._store = store
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
            self._record_all(batch)
            # Nothing of it may be held until the next datum comes: the collector waits for whoever reads its inputs.
            del batch
            with self._changed:
                self._recording = Counter()

    def _record_all(self, batch: list[Settled]) -> None:
        by_offer: dict[Offer, list[Settled]] = defaultdict(list)
        for each in batch:
            by_offer[each.offer].append(each)
        self._record(by_offer)

    def _record(self, by_offer: dict[Offer, list[Settled]]) -> None:
        try:
            gone = self._write(by_offer)
        except Exception as problem:
            if len(by_offer) > 1:  # it may be the fault of one of them
                for offer, some in by_offer.items():
                    self._record({offer: some})
            else:
                for offer, some in by_offer.items():
                    self._record_one_by_one(offer, some, problem)
        else:
            self._tell(by_offer, gone)

    def _record_one_by_one(self, offer: Offer, some: list[Settled], problem: Exception) -> None:
        """Record what can be of datums that together can't, so that what succeeded is not lost; then fail the job."""
        failed = []
        if len(some) == 1:
            failed = some
        else:
            for each in some:
                try:
                    gone = self._write({offer: [each]})
                except Exception as its_own:
                    failed.append(each)
                    problem = its_own
                else:
                    self._tell({offer: [each]}, gone)
        if failed:
            for each in failed:
                each.recorded.set_exception(problem)
            self._leases.fail(offer, problem)

    def _tell(self, by_offer: dict[Offer, list[Settled]], gone: set[Offer]) -> None:
        """Tell whoever waits that datums are recorded, or that their jobs were ended."""
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

    def _write(self, by_offer: dict[Offer, list[Settled]]) -> set[Offer]:
        """Record datums in one transaction; return the offers whose jobs were ended, of which nothing is recorded."""
        writer = self._store.writer()
        records = {offer: make_records(writer, some) for offer, some in by_offer.items()}
        earlier = (each.writer for some in by_offer.values() for each in some)
        writers = [writer, *(each for each in earlier if each is not None)]
        rows_left = publish_ahead(
            self._transactions.database, [row for each in writers for row in each.seal()]
        )
        gone = set()
        with self._transactions.start() as txn:
            record_put(txn.db, rows_left, writers)
            for offer, made in records.items():
                row = txn.db.first("get_job_by_key", key=offer.job.key)
                if row is None or row["state"] != JobState.RUNNING:
                    gone.add(offer)
                else:
                    store_records(txn, offer.job, made)
            self._logbook.write(txn.db)
        return gone


def store_records(txn: Transaction, job: JobRecord, some: Sequence[Record]) -> None:
    """Record datums of a job and stage their output, in the caller's transaction."""
    output, meta = Diff(), Diff()
    sums: dict[str, int] = defaultdict(int)
    failed = ""
    # As the table would number them by itself; so one statement adds many.
    first = (txn.db.value("last_datum_record") or 0) + 1
    records, datums = [], []
    for key, each in enumerate(some, first):
        planned, result = each.settled.planned, each.settled.result
        id, state = planned.datum.id, DatumState(result.state)
        _add_output(output, id, each)
        _add_meta(meta, id, each)
        records.append((key, planned.hash, each.code, state, job.id, each.text))
        datums.append((job.key, id, key))
        sums["processed" if state == DatumState.SUCCESS else str(state)] += 1
        for name, value in each.stats.items():
            sums[name] += value
        if state == DatumState.FAILED:
            failed = min(failed or id, id)
    txn.db.many("add_datum_record", records)
    txn.db.many("add_datum", datums)
    counts = {each: sums[each] for each in ("processed", "failed", "recovered", *_STATS)}
    txn.db.run("count_in_job", job=job.key, failed_datum=failed, **counts)
    txn.db.run("add_staged", commit=job.output, diff=output.encode())
    txn.db.run("add_staged", commit=job.meta, diff=meta.encode())


_STATS = ("download_time", "process_time", "upload_time", "download_bytes", "upload_bytes")


def _add_output(diff: Diff, id: str, record: Record) -> None:
    for path, content in record.outputs:
        diff.append(path, id, content)


def _add_meta(diff: Diff, id: str, record: Record) -> None:
    """Mirror a datum in the meta repo: its record, its inputs and its output, by reference."""
    for name, content in record.meta:
        diff.append(f"/meta/{id}/{name}", id, content)
    for found in record.settled.inputs:
        for entry in found.entries:
            diff.append(f"/pfs/{id}/{found.path}", id, entry.content)
    prefix = output_prefix(id)
    for path, content in record.outputs:
        diff.append(prefix + path[1:], id, content)
