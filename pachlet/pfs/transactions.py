"""The context in which every write of PFS and PPS happens.

All commits that one request makes carry one id, and what must follow from the request (commits downstream, jobs) is
made in the same database transaction, just before it ends. Upstream calls this a transaction context.

Read next: propagation.py (what follows), commits.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from pachlet.clock import Clock
from pachlet.ids import new_id
from pachlet.metadb.connect import Database, Rollback
from pachlet.metadb.connect import Transaction as DatabaseTransaction
from pachlet.pfs.marks import NOBODY
from pachlet.storage.diffs import Diff


class Transaction:
    """One write in progress.

    Attributes:
        db: the statements of the database transaction.
        id: the id of every commit made in it, which is that of its commit set.
        now: its time; the same for all that it does.
        mark: who makes the commits of users in it, and why.
        moved: keys of branches whose head or provenance changed.
        opened: keys of commits that the engine made and that are still open.
        finishing: keys of commits whose content has to be settled after it.
        staged: what it wrote to some of them, by key; as in the database, but need not be decoded.
        settled: keys of commits that it finished.
        deleted: keys of commits that it deleted.
    """

    def __init__(self, db: DatabaseTransaction, clock: Clock, commit_set: str) -> None:
        self.db = db
        self.mark = NOBODY
        self.id = commit_set
        self._clock = clock
        self.moved: set[int] = set()
        self.opened: list[int] = []
        self.finishing: list[int] = []
        self.staged: dict[int, Diff] = {}
        self.settled: list[int] = []
        self.deleted: list[int] = []

    @property
    def now(self) -> int:
        """A fresh time: what is made later in a transaction is stamped later."""
        return self._clock.now()


Hook = Callable[[Transaction], None]


class Transactions:
    """Starts write transactions and runs what must follow at the end of each.

    `settle` is called after a transaction with the commits that it left finishing, and what it staged to them;
    finishing.py sets it, and keeps `waiting`.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock
        self._hooks: list[Hook] = []
        self.settle: Callable[[Sequence[int], dict[int, Diff]], None] = lambda keys, staged: None
        self.waiting: dict[int, str] = {}
        """Why commits are not settled yet, by key; they are tried again."""

    def at_end(self, hook: Hook) -> None:
        """Call `hook` at the end of every transaction, in the order added."""
        self._hooks.append(hook)

    @contextlib.contextmanager
    def start(self, commit_set: str = "", *, is_dry_run: bool = False) -> Iterator[Transaction]:
        """Give a transaction; all of it is on disk after the block, or none if the block raises.

        Args:
            commit_set: the id of the commits made in it; a new one unless given.
            is_dry_run: do all of it, so that what is wrong shows, and then nothing of it.
        """
        with self.database.write() as db:
            transaction = Transaction(db, self._clock, commit_set or new_id())
            yield transaction
            self._end(transaction)
            if is_dry_run:
                raise Rollback

    def run_each(self, acts: Iterable[Callable[[Transaction], None]]) -> None:
        """Do several things one after the other, each with a commit set of its own, and write them at once."""
        with self.database.write() as db:
            for act in acts:
                transaction = Transaction(db, self._clock, new_id())
                act(transaction)
                self._end(transaction)

    def _end(self, transaction: Transaction) -> None:
        for hook in self._hooks:
            hook(transaction)
        transaction.db.after_commit(lambda: self._settle(transaction))

    def _settle(self, transaction: Transaction) -> None:
        if transaction.finishing:
            self.settle(transaction.finishing, transaction.staged)
