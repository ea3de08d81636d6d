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

from pachlet.errors import Corrupt, Unavailable
from pachlet.metadb.connect import Database
from pachlet.pfs import commits
from pachlet.pfs.index import DatabaseIndex, add_chunks, add_nodes
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transactions
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.fileset import Diff, FileSet, apply_diffs
from pachlet.storage.nodes import MemoryNodes
from pachlet.storage.tree import Tree

log = logging.getLogger(__name__)

_TRY_AGAIN = 3.0  # seconds


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
        for key in keys:
            self.settle(key)

    def settle(self, key: int) -> None:
        """Settle one commit, then its children that wait for it, then theirs.

        Safe to call twice and from two threads: the second finds it finished. Does nothing while its base is open,
        and nothing for a commit that was deleted. One that can't be stored now is settled later.
        """
        todo = [key]
        while todo:
            key = todo.pop()
            try:
                is_settled = self._settle_one(key)
            except Unavailable as trouble:
                self._try_later(key, trouble)
                continue
            self._transactions.waiting.pop(key, None)
            if is_settled:
                with self._database.read() as db:
                    todo += [each.key for each in commits.waiting_children(db, key)]

    def _try_later(self, key: int, trouble: Unavailable) -> None:
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
                self.settle(key)
            with self._lock:
                if not self._transactions.waiting:
                    self._trying = None
                    return

    def _settle_one(self, key: int) -> bool:
        # From before the first look: the tree that is made shares nodes with its base, which may be deleted.
        with self._store.leases.publishing("the finishing of a commit"):
            return self._look_and_publish(key)

    def _look_and_publish(self, key: int) -> bool:
        with self._database.read() as db:
            row = db.first("get_commit_by_key", key=key)
            if row is None:
                return False
            record = CommitRecord.of(row)
            base = commits.content_base(db, record)
            layers = [row["diff"] for row in db.all("staged_of_commit", commit=key)]
        if record.finished is not None or record.finishing is None:
            return False
        if base is not None and base.finished is None:
            return False
        try:
            self._publish(record, base, [Diff.decode(layer) for layer in layers])
        except Corrupt as damage:
            self._give_up(record, base, damage)
        return True

    def _publish(self, record: CommitRecord, base: CommitRecord | None, diffs: list[Diff]) -> None:
        nodes = MemoryNodes(self._index)
        writer = self._store.writer()
        before = Tree(nodes, base.root if base else None)
        tree = apply_diffs(before, diffs, self._store, writer)
        files = FileSet(tree)
        error = record.error or files.validate(since=FileSet(before)) or ""
        rows = writer.seal()
        with self._transactions.start() as txn:
            row = txn.db.first("get_commit_by_key", key=record.key)
            if row is None or row["finished"] is not None:
                return
            add_chunks(txn.db, rows)
            add_nodes(txn.db, nodes.items())
            txn.db.run(
                "finish_commit",
                key=record.key,
                now=txn.now,
                root=tree.root,
                size=files.size(),
                error=error,
            )
            txn.db.run("delete_staged", commit=record.key)
            txn.settled.append(record.key)

    def _give_up(self, record: CommitRecord, base: CommitRecord | None, damage: Corrupt) -> None:
        """Finish a commit that what is stored does not suffice for, with the damage as its error.

        Nobody waits for it for ever, and the next start does not fail at it. What was written to it stays staged.
        """
        log.error("commit %s can't be finished: %s", record.commit, damage)
        root, size = (base.root, base.size) if base else (None, 0)
        with self._transactions.start() as txn:
            row = txn.db.first("get_commit_by_key", key=record.key)
            if row is not None and row["finished"] is None:
                error = record.error or damage.message
                txn.db.run("finish_commit", key=record.key, now=txn.now, root=root, size=size, error=error)
                txn.settled.append(record.key)
