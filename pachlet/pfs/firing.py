"""Fire triggers: when a commit has finished, the branches that were waiting for it move to it.

No commit is made for that; what is downstream of a branch that moved gets one, in a commit set of its own. A chain of
triggers is followed within the same transaction. Moving a branch by hand fires nothing, as upstream.

Read next: triggers.py (the conditions), propagation.py (what follows).
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import branches, commits
from pachlet.pfs.records import AUTO, BranchRecord, CommitRecord
from pachlet.pfs.transactions import Transaction
from pachlet.pfs.triggers import Trigger, find_trigger
from pachlet.spec.quantity import parse_trigger_size
from pachlet.spec.schedule import parse_schedule


def fire_triggers(txn: Transaction) -> None:
    """Move the branches triggered by the commits that a transaction settled (runs at its end)."""
    for key in list(txn.settled):
        row = txn.db.first("get_commit_by_key", key=key)
        if row is None:  # its repo was deleted in the same transaction
            continue
        record = CommitRecord.of(row)
        if record.branch and not record.error and not commits.is_placeholder(txn.db, record):
            _Chain(txn, record).fire()


class _Chain:
    """The branches of a repo that one finished commit may move."""

    def __init__(self, txn: Transaction, record: CommitRecord) -> None:
        self._txn = txn
        found = map(BranchRecord.of, txn.db.all("list_branches", repo=record.repo_key))
        self._branches = {each.branch.name: each for each in found}
        self._heads: dict[str, CommitRecord | None] = {record.branch: record}

    def fire(self) -> None:
        """Look at every branch."""
        for name in self._branches:
            self._look(name)

    def _look(self, name: str) -> CommitRecord | None:
        """Return the head that a branch has got from the commit, after those upstream of it; None if none."""
        if name in self._heads or name not in self._branches:
            return self._heads.get(name)
        self._heads[name] = None
        branch = self._branches[name]
        trigger = find_trigger(self._txn.db, branch.key)
        if trigger is None or trigger.cron_spec:
            return None
        new = self._look(trigger.branch)
        if new is None or new.key == branch.head:
            return None
        old = commits.get_commit(self._txn.db, branch.head) if branch.head else None
        if not is_due(self._txn.db, trigger, old, new):
            return None
        branches.set_head(self._txn, branch.key, new.key)
        self._heads[name] = new
        return new


def is_due(db: Statements, trigger: Trigger, old: CommitRecord | None, new: CommitRecord) -> bool:
    """Tell whether a trigger fires for a branch whose head is `old` when `new` has come in."""
    conditions = _conditions(db, trigger, old, new)
    return all(conditions) if trigger.needs_all else any(conditions)


def _conditions(
    db: Statements, trigger: Trigger, old: CommitRecord | None, new: CommitRecord
) -> Iterator[bool]:
    if trigger.size:
        yield new.size - (old.size if old else 0) >= parse_trigger_size(trigger.size)
    if trigger.rate_limit_spec:
        since = old.finishing if old and old.finishing else 0
        due = parse_schedule(trigger.rate_limit_spec).next(since)
        yield due is not None and due < (new.finishing or 0)
    if trigger.commits:
        yield _count_commits(db, old, new, trigger.commits) == trigger.commits


def _count_commits(db: Statements, old: CommitRecord | None, new: CommitRecord, most: int) -> int:
    """Count the commits after `old` up to `new`, at most so many; the engine's empty first one does not count."""
    count = 0
    for record in (new, *commits.ancestors(db, new)):
        is_first = record.parent is None and record.origin == AUTO
        if count == most or is_first or (old is not None and record.key == old.key):
            break
        count += 1
    return count
