"""Settle the content of commits: apply what was written to them to the tree of their base, and check it.

The tree is computed outside the write transaction, because a large commit takes a while, and published with the
commit's row in one. A commit that the engine was killed in stays `finishing` and is settled at the next start. So does
one that there is no space on the disk for, but it is tried again every few seconds: what was written to it is safe,
and whoever asks is told what it waits for.

Read next: files.py (who reads the trees), storage/fileset.py (how a tree is changed).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pachlet.errors import Corrupt, Purged, Unavailable
from pachlet.metadb.connect import Database
from pachlet.pfs import commits
from pachlet.pfs.index import DatabaseIndex, add_chunks, add_nodes
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transactions
from pachlet.storage.chunks import ChunkRow, ChunkStore, ChunkWriter
from pachlet.storage.fileset import Diff, FileSet, apply_diffs
from pachlet.storage.nodes import MemoryNodes
from pachlet.storage.tree import Tree

log = logging.getLogger(__name__)

_TRY_AGAIN = 3.0  # seconds

_AT_ONCE = 16
"""So many commits at most have their content in memory until it is written down."""


@dataclass(frozen=True)
class _Made:
    """The content of a commit, ready to be written down."""

    key: int
    root: bytes | None
    size: int
    error: str
    chunks: Sequence[ChunkRow] = ()
    nodes: Iterable[tuple[bytes, bytes]] = ()
    writer: ChunkWriter | None = None
    """Keeps the garbage collector off the chunks until they are written down."""
    is_damaged: bool = False
    may_fire: bool = False
    """Whether it may set off triggers: what they do is a commit set of its own, so it is written down alone."""


class Finisher:
    """Turns finishing commits into finished ones."""

    def __init__(self, database: Database, transactions: Transactions, store: ChunkStore) -> None:
        self._database = database
        self._transactions = transactions
        self._store = store
        self._index = DatabaseIndex(database)
        transactions.settle = self.settle
        self._lock = threading.Lock()
        self._trying: threading.Thread | None = None
        self._closed = threading.Event()

    def close(self) -> None:
        """Give up trying; what waits is settled at the next start."""
        self._closed.set()
        with self._lock:
            trying = self._trying
        if trying is not None:
            trying.join()

    def settle_all(self) -> None:
        """Settle every commit that was finishing when the engine last stopped."""
        with self._database.read() as db:
            keys = [row["key"] for row in db.all("unfinished_commits")]
        self.settle(keys, {})

    def settle(self, keys: Sequence[int], staged: dict[int, Diff]) -> None:
        """Settle commits, then their children that wait for them, then theirs.

        What is known to be staged to a commit is taken out of `staged`, and not read and decoded again.
        Safe to call twice and from two threads: the second finds them finished. Does nothing for one whose base is
        open, and nothing for one that was deleted. One that can't be stored now is settled later.
        """
        todo = list(keys)
        while todo:
            some, todo = todo[:_AT_ONCE], todo[_AT_ONCE:]
            for key in self._settle_some(some, staged):
                self._transactions.waiting.pop(key, None)
                with self._database.read() as db:
                    todo += [each.key for each in commits.waiting_children(db, key)]

    def _try_later(self, key: int, trouble: Unavailable | Purged) -> None:
        waiting = self._transactions.waiting
        if key not in waiting:
            log.warning("a commit can't be finished yet: %s", trouble)
        with self._lock:
            waiting[key] = str(trouble)
            if self._trying is None and not self._closed.is_set():
                self._trying = threading.Thread(target=self._try_again, name="finishing", daemon=True)
                self._trying.start()

    def _try_again(self) -> None:
        while not self._closed.wait(_TRY_AGAIN):
            for key in list(self._transactions.waiting):
                try:
                    self.settle([key], {})
                except Exception:  # a mistake of ours holds up none of the others
                    log.exception("a commit still can't be finished, and is tried again")
            with self._lock:
                if not self._transactions.waiting:
                    self._trying = None
                    return

    def _settle_some(self, keys: Sequence[int], staged: dict[int, Diff]) -> list[int]:
        """Settle those that can be; return their keys."""
        # From before the first look: the tree that is made shares nodes with its base, which may be deleted.
        with self._store.leases.publishing("the finishing of a commit"):
            together, done = [], []
            for key in keys:
                try:
                    made = self._make(key, staged.pop(key, None))
                    if made is not None and made.may_fire:
                        self._publish([made])
                        done.append(key)
                    elif made is not None:
                        together.append(made)
                except (Unavailable, Purged) as trouble:
                    self._try_later(key, trouble)
            try:
                self._publish(together)
                done += [each.key for each in together]
            except (Unavailable, Purged) as trouble:  # the latter came between the making and this
                for each in together:
                    self._try_later(each.key, trouble)
            return done

    def _make(self, key: int, staged: Diff | None) -> _Made | None:
        """Compute the content of a commit; None if it can't be settled yet, or not any more.

        `staged` is what its only layer says, if that is known.
        """
        with self._database.read() as db:
            row = db.first("get_commit_by_key", key=key)
            if row is None:
                return None
            record = CommitRecord.of(row)
            base = commits.content_base(db, record)
            known = [staged] if staged is not None and db.value("count_staged", commit=key) == 1 else []
            layers = [] if known else [row["diff"] for row in db.all("staged_of_commit", commit=key)]
            may_fire = bool(db.value("repo_has_triggers", repo=record.repo_key))
        if record.finished is not None or record.finishing is None:
            return None
        if base is not None and base.finished is None:
            return None
        try:
            made = self._apply(record, base, known or [Diff.decode(layer) for layer in layers])
        except (Corrupt, Purged) as damage:
            return self._give_up(record, base, damage)
        return replace(made, may_fire=may_fire)

    def _apply(self, record: CommitRecord, base: CommitRecord | None, diffs: list[Diff]) -> _Made:
        nodes = MemoryNodes(self._index)
        writer = self._store.writer()
        before = Tree(nodes, base.root if base else None)
        tree = apply_diffs(before, diffs, self._store, writer)
        files = FileSet(tree)
        error = record.error or files.validate(since=FileSet(before)) or ""
        return _Made(record.key, tree.root, files.size(), error, writer.seal(), nodes.items(), writer)

    def _publish(self, some: Sequence[_Made]) -> None:
        """Write down what commits hold; together, so that the disk is waited for once."""
        if not some:
            return
        with self._transactions.start() as txn:
            for made in some:
                row = txn.db.first("get_commit_by_key", key=made.key)
                if row is None or row["finished"] is not None:
                    continue
                add_chunks(txn.db, made.chunks)
                add_nodes(txn.db, made.nodes)
                error = made.error
                txn.db.run(
                    "finish_commit", key=made.key, now=txn.now, root=made.root, size=made.size, error=error
                )
                if not made.is_damaged:
                    txn.db.run("delete_staged", commit=made.key)
                txn.settled.append(made.key)

    def _give_up(self, record: CommitRecord, base: CommitRecord | None, damage: Corrupt | Purged) -> _Made:
        """Return what a commit holds that what is stored does not suffice for: its base, with the damage as its error.

        Nobody waits for it for ever, and the next start does not fail at it. What was written to it stays staged.
        """
        log.error("commit %s can't be finished: %s", record.commit, damage)
        root, size = (base.root, base.size) if base else (None, 0)
        return _Made(record.key, root, size, record.error or damage.message, is_damaged=True)
