"""Collect garbage: forget the nodes and chunks that nothing refers to, and give their space back.

Mark and sweep, while the server serves. What keeps it exact although others write meanwhile:

- what commits and open commits are given after the marking began is noted by the database itself (temporary
  triggers), in the transaction that gives it, and marked before anything more is forgotten
- what an upload has put, or found there already and leans on, it keeps itself (storage/chunks.py)
- who reads something that was deleted holds a lease; we wait for those that are older than the marks, for as
  long as the grace time lasts, and without end for those who will publish what they read (storage/leases.py)

Every step is small. What others commit meanwhile is marked while they go on, however much it is; in the transaction
that forgets a batch of a thousand rows only a few nodes more are, or it is given up and tried again. Every step may
be killed: nothing is forgotten that is needed, and what is left over is garbage for the next collection.

Damage ends nothing. What can't be read is named, what it may refer to stays, and the rest is collected.

Read next: storage/marking.py (what damage leaves), storage/removing.py (how packs go), losses.py.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from pachlet.errors import Corrupt, Unavailable
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs.index import DatabaseIndex, location_of
from pachlet.pfs.losses import name_losses
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.marking import Marks
from pachlet.storage.packs import MAGIC, record_end
from pachlet.storage.removing import Move, Mover, cut_tail, pack_size, remove_packs, stored_size

GRACE = timedelta(minutes=10)
SLACK = 0.2
"""So much of a pack may be garbage before what is left in it is written anew."""

_PACK_HEAD = len(MAGIC)
_BATCH = 1000
_FEW_NODES = 50  # are marked within a write transaction, in a few milliseconds
_LOOK_AGAIN = 0.05  # seconds
_PAGES = 256

COMMITS = "files of commits"
OPEN_COMMITS = "files of open commits and file sets"
UPLOADS = "uploads and datums in progress"
TREES = "trees of commits"
SLACK_KEPT = "garbage in packs that are mostly in use"
NO_SPACE = "garbage in packs for whose rest there is no space elsewhere"
DAMAGED = "packs that are damaged"


@dataclass(frozen=True)
class Progress:
    """How far a step is; a total of 0 is not known."""

    step: str
    done: int = 0
    total: int = 0


@dataclass
class Report:
    """What a collection did, or would do."""

    dry_run: bool
    disk_before: int = 0
    disk_after: int = 0
    chunks: int = 0
    chunk_bytes: int = 0
    nodes: int = 0
    node_bytes: int = 0
    packs_removed: int = 0
    packs_rewritten: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    """Bytes that stay, by the reason why."""
    faults: list[str] = field(default_factory=list)
    """What is damaged, with the commits and files that it hurts."""

    @property
    def freed(self) -> int:
        """Bytes that the file system has got back."""
        return self.disk_before - self.disk_after


class Collector:
    """Collects the garbage of one data directory, one collection at a time."""

    def __init__(self, database: Database, store: ChunkStore) -> None:
        self._database = database
        self._store = store

    def collect(
        self, *, dry_run: bool = False, grace: timedelta = GRACE, slack: float = SLACK
    ) -> Iterator[Progress | Report]:
        """Yield progress and at last the report. Leaving the iteration ends the collection; that harms nothing.

        Raises:
            FailedPrecondition: a collection or a backup is running.
        """
        with self._store.upkeep():
            yield from _Collection(self._database, self._store, dry_run, slack).run(grace)


class _Collection:
    """One run."""

    def __init__(self, database: Database, store: ChunkStore, dry_run: bool, slack: float) -> None:
        self._database = database
        self._store = store
        self._slack = slack
        index = DatabaseIndex(database)
        self._commits = Marks(index)
        self._open_commits = Marks(index)
        self._live: Counter[int] = Counter()  # bytes by pack
        self._rows: Counter[int] = Counter()  # chunks by pack
        self._ends: dict[int, int] = {}  # of the last chunk by pack
        self._noted_diffs: list[int] = []  # by key, to be marked
        self._damaged_chunks: dict[bytes, str] = {}
        self.report = Report(dry_run)

    def run(self, grace: timedelta) -> Iterator[Progress | Report]:
        report = self.report
        report.disk_before = self._disk()
        self._start_noting()
        try:
            yield from self._mark()
            yield from self._wait(grace)
            yield from self._sweep_nodes()
            packs = self._store.idle_packs() if report.dry_run else self._store.turn_page()
            yield from self._sweep_chunks()
        finally:
            self._stop_noting()
        yield from self._clear_packs(packs)
        report.faults += self._name_damage()
        if not report.dry_run:
            while self._database.give_back(_PAGES):
                yield Progress("giving back the database's free space")
            self._database.cut_log()
            report.disk_after = self._disk()
        yield report

    # Mark.

    def _start_noting(self) -> None:
        self._stop_noting()  # a collection that was killed in this process may have left it on
        with self._database.write() as db:
            for statement in (
                "note_new_trees",
                "note_tree_of_commit",
                "note_tree_of_new_commit",
                "note_new_diffs",
                "note_diff",
            ):
                db.run(statement)

    def _stop_noting(self) -> None:
        with self._database.write() as db:
            for statement in (
                "stop_noting_diff",
                "stop_noting_tree_of_new_commit",
                "stop_noting_tree_of_commit",
                "stop_noting_diffs",
                "stop_noting_trees",
            ):
                db.run(statement)

    def _mark(self) -> Iterator[Progress]:
        with self._database.read() as db:
            roots = [row["root"] for row in db.all("tree_roots")]
            diffs = [row["key"] for row in db.all("diff_roots")]
        # After the look at the roots: who comes later can't hold what they don't reach.
        self._began = self._store.leases.mark()
        total = len(roots) + len(diffs)
        for done, root in enumerate(roots):
            self._commits.add_tree(root)
            if done % _BATCH == 0:
                yield Progress("marking", done, total)
        for done, key in enumerate(diffs, len(roots)):
            self._mark_diff(key)
            if done % _BATCH == 0:
                yield Progress("marking", done, total)
        yield Progress("marking", total, total)

    def _mark_diff(self, key: int) -> None:
        with self._database.read() as db:
            data = db.value("get_diff", key=key)
        if data is not None:  # else it was settled since, and the tree of its commit is noted
            with contextlib.suppress(Corrupt):  # what it still names is marked; `fsck` tells
                self._open_commits.add_diff(data)

    def _take_notes(self, db: Statements) -> None:
        """Take over what was noted, to be marked."""
        trees, diffs = db.all("noted_trees"), db.all("noted_diffs")
        for row in trees:
            self._commits.want_tree(row["root"])
        self._noted_diffs += [row["key"] for row in diffs]
        if trees:
            db.run("forget_noted_trees")
        if diffs:
            db.run("forget_noted_diffs")

    def _mark_noted(self) -> None:
        """Mark what was taken over, in nobody's way: a diff or tree may be that of a million files."""
        self._commits.work()
        while self._noted_diffs:
            self._mark_diff(self._noted_diffs.pop())

    def _wait(self, grace: timedelta) -> Iterator[Progress]:
        if self.report.dry_run:
            return
        waited, pause = 0.0, threading.Event()
        if self._store.leases.held_since(self._began):
            gc.collect()  # a lease may hang on in a cycle of objects
        while held := self._store.leases.held_since(self._began):
            if waited >= grace.total_seconds() and not any(each.must_end for each in held):
                return
            yield Progress(f"waiting for {len(held)} that began before: {held[0].purpose}")
            pause.wait(_LOOK_AGAIN)
            waited += _LOOK_AGAIN

    # Sweep.

    def _sweep_nodes(self) -> Iterator[Progress]:
        after, done = b"", 0
        while True:
            with self._database.read() as db:
                rows = db.all("nodes_after", after=after, number=_BATCH)
            if not rows:
                return
            sizes = {row["hash"]: row["size"] for row in rows}
            gone = self._forget("delete_node", [hash for hash in sizes if not self._needs_node(hash)])
            self.report.nodes += len(gone)
            self.report.node_bytes += sum(sizes[hash] for hash in gone)
            self.report.kept[TREES] += sum(sizes.values()) - sum(sizes[hash] for hash in gone)
            after, done = rows[-1]["hash"], done + len(rows)
            yield Progress("forgetting trees", done)

    def _sweep_chunks(self) -> Iterator[Progress]:
        after, done = b"", 0
        with self._database.read() as db:
            total = db.value("count_chunks")
        while True:
            with self._database.read() as db:
                rows = db.all("chunks_after", after=after, number=_BATCH)
            if not rows:
                return
            places = {row["hash"]: location_of(row) for row in rows}
            gone = set(self._forget("delete_chunk", [c for c in places if not self._needs_chunk(c)]))
            self.report.chunks += len(gone)
            for hash, place in places.items():
                size = stored_size(place)
                if hash in gone:
                    self.report.chunk_bytes += size
                    continue
                self._live[place.pack] += size
                self._rows[place.pack] += 1
                self._ends[place.pack] = max(self._ends.get(place.pack, 0), record_end(place))
                self.report.kept[self._reason(hash)] += size
            after, done = rows[-1]["hash"], done + len(rows)
            yield Progress("forgetting chunks", done, total)

    def _forget(self, statement: str, hashes: list[bytes]) -> list[bytes]:
        """Delete rows unless something has come to need them; return those that are gone (or would be)."""
        if not hashes:
            return []
        needs = self._needs_node if statement == "delete_node" else self._needs_chunk
        while True:
            with contextlib.ExitStack() as afterwards, self._database.write() as db:
                # Until the deletion is committed: nobody leans on what others can still see.
                afterwards.enter_context(self._store.leaning)
                self._take_notes(db)
                if self._commits.work(_FEW_NODES) and not self._noted_diffs:
                    gone = [hash for hash in hashes if not needs(hash)]
                    if not self.report.dry_run:
                        db.many(statement, [(hash,) for hash in gone])
                    return gone
            self._mark_noted()

    def _needs_node(self, hash: bytes) -> bool:
        return hash in self._commits.nodes

    def _needs_chunk(self, hash: bytes) -> bool:
        return (
            hash in self._commits.chunks
            or hash in self._open_commits.chunks
            or any(writer.needs(hash) for writer in self._store.writers())
        )

    def _reason(self, chunk: bytes) -> str:
        if chunk in self._commits.chunks:
            return COMMITS
        return OPEN_COMMITS if chunk in self._open_commits.chunks else UPLOADS

    # Packs.

    def _clear_packs(self, packs: Iterable[int]) -> Iterator[Progress]:
        """Remove packs in which nothing is left, cut tails off, and write anew what is mostly garbage."""
        report, sizes = self.report, {number: pack_size(self._store, number) for number in packs}
        empty = [number for number in sizes if not self._rows[number]]
        tails = {
            number: size - self._ends[number]
            for number, size in sizes.items()
            if self._rows[number] and size > self._ends[number]
        }
        garbage = {
            number: size - self._live[number] - tails.get(number, 0) - _PACK_HEAD
            for number, size in sizes.items()
            if self._rows[number]
        }
        sparse = sorted(
            (number for number in garbage if garbage[number] > self._slack * sizes[number]),
            key=lambda number: self._live[number] / sizes[number],
        )
        report.kept[SLACK_KEPT] += sum(garbage.values()) - sum(garbage[number] for number in sparse)
        # Not those that had no bytes already: they were told when they lost them.
        report.packs_removed = sum(sizes[number] > 0 for number in empty)
        if report.dry_run:
            freed = sum(sizes[number] for number in empty) + sum(tails.values())
            freed += sum(garbage[number] for number in sparse) + report.node_bytes
            report.disk_after = report.disk_before - freed
            report.packs_rewritten = len(sparse)
            return
        # First what costs no space: this may be a full disk.
        remove_packs(self._store, empty)
        for number in tails:
            cut_tail(self._store, number, self._ends[number])
        yield from self._write_anew({number: garbage[number] for number in sparse})

    def _write_anew(self, packs: dict[int, int]) -> Iterator[Progress]:
        """Copy what is left in packs to new ones; `packs` is garbage by number."""
        mover = Mover(self._store)
        for done, (number, garbage) in enumerate(packs.items()):
            yield Progress("writing packs anew", done, len(packs))
            try:
                moves = mover.move_out(number)
            except Corrupt:
                self.report.kept[DAMAGED] += garbage
                self._damaged_chunks |= mover.damaged
                continue
            except Unavailable:
                self.report.kept[NO_SPACE] += garbage
                continue
            for start in range(0, len(moves), _BATCH):
                with self._database.write() as db:
                    db.many("move_chunk", map(_moved, moves[start : start + _BATCH]))
            if len(moves) == self._rows[number]:
                remove_packs(self._store, [number])
                self.report.packs_rewritten += 1
            else:  # a record's head is damaged, and what lies behind it was not found
                self.report.kept[DAMAGED] += garbage

    def _name_damage(self) -> Iterator[str]:
        """Yield what is damaged, as far as we came upon it, with the commits and files that it hurts."""
        if self._commits.damaged or self._damaged_chunks:
            yield from name_losses(self._database, self._commits.damaged, self._damaged_chunks)

    def _disk(self) -> int:
        """Return how long the files are; what would be done is told without the log, as nothing in it is garbage."""
        packs = sum(path.stat().st_size for path in self._store.directory.iterdir())
        return packs + (self._database.size() if self.report.dry_run else self._database.size_on_disk())


def _moved(move: Move) -> tuple[int, int, bytes, int, int]:
    return (move.after.pack, move.after.offset, move.hash, move.before.pack, move.before.offset)
