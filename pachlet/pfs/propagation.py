"""Move a change downstream: each branch below one that moved gets a new open commit in the same commit set.

This runs at the end of every transaction, so that a commit and all that it will cause share one id from the start.

Read next: finishing.py.
"""

from __future__ import annotations

from pachlet.paths import SPEC, Branch, Repo
from pachlet.pfs import branches, commits
from pachlet.pfs.marks import triggered_by
from pachlet.pfs.records import AUTO, CommitRecord
from pachlet.pfs.transactions import Transaction


def propagate(txn: Transaction) -> None:
    """Open a commit on every branch downstream of those that moved, nearest to the sources first."""
    moved = set(txn.moved)
    depth: dict[int, int] = {}
    causes: dict[int, list[int]] = {}
    """Which of the branches that moved each is downstream of."""
    for key in txn.moved:
        for row in txn.db.all("subvenance_of_branch", branch=key):
            depth[row["key"]] = max(depth.get(row["key"], 0), row["depth"])
            causes.setdefault(row["key"], []).append(key)
    first = {key: branches.get_branch(txn.db, key).branch for key in txn.moved if key not in depth}
    for key in sorted(depth, key=lambda each: (depth[each], each)):
        record = branches.get_branch(txn.db, key)
        edges = txn.db.all("upstream_of_branch", branch=key)
        if not any(edge["upstream"] in moved and edge["propagate"] for edge in edges):
            continue
        if branches.is_below_spec_alone(branches.direct_provenance(txn.db, key)):
            continue  # a new version of a spout's spec makes no commit on its output branch
        found = [branches.get_branch(txn.db, edge["upstream"]).head for edge in edges]
        heads = [head for head in found if head is not None]
        named = _names(record.branch, [first[cause] for cause in causes[key] if cause in first])
        if record.head is not None and commits.get_commit(txn.db, record.head).commit.id == txn.id:
            _set_provenance(txn, commits.get_commit(txn.db, record.head), heads)
            _set_trigger(txn, record.head, named)
            continue
        made = commits.add_commit(txn, record, origin=AUTO, upstream=heads, causes=named)
        txn.opened.append(made.key)
        moved.add(key)


def _names(branch: Branch, moved: list[Branch]) -> list[str]:
    """Return what set off a commit on a branch: a new version of its own spec, or else all that moved by itself."""
    repo = branch.repo
    own = [each for each in moved if each.repo == Repo(repo.project, repo.name, SPEC)]
    return [str(each) for each in own or moved]


def _set_trigger(txn: Transaction, key: int, causes: list[str]) -> None:
    """Say on a commit of the engine's which branches moved."""
    if commits.get_commit(txn.db, key).origin == AUTO:
        txn.db.run("set_commit_metadata", key=key, metadata=triggered_by(causes, txn.mark))


def _set_provenance(txn: Transaction, record: CommitRecord, heads: list[int]) -> None:
    """Put an open commit behind the heads as they are now: one may have moved after it in the same transaction."""
    if record.is_open and {each.key for each in commits.upstream(txn.db, record.key)} != set(heads):
        txn.db.run("clear_commit_provenance", commit=record.key)
        for head in heads:
            txn.db.run("add_commit_provenance", commit=record.key, upstream=head)
