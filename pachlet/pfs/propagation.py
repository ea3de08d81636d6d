"""Move a change downstream: each branch below one that moved gets a new open commit in the same commit set.

This runs at the end of every transaction, so that a commit and all that it will cause share one id from the start.

Read next: finishing.py.
"""

from __future__ import annotations

from pachlet.pfs import branches, commits
from pachlet.pfs.records import AUTO, BranchRecord
from pachlet.pfs.transactions import Transaction


def propagate(txn: Transaction) -> None:
    """Open a commit on every branch downstream of those that moved, nearest to the sources first."""
    moved = set(txn.moved)
    depth: dict[int, int] = {}
    for key in txn.moved:
        for row in txn.db.all("subvenance_of_branch", branch=key):
            depth[row["key"]] = max(depth.get(row["key"], 0), row["depth"])
    for key in sorted(depth, key=lambda each: (depth[each], each)):
        record = branches.get_branch(txn.db, key)
        edges = txn.db.all("upstream_of_branch", branch=key)
        if not any(edge["upstream"] in moved and edge["propagate"] for edge in edges):
            continue
        if _is_spout_output(txn, record) or _is_in_set(txn, record):
            continue
        heads = [branches.get_branch(txn.db, edge["upstream"]).head for edge in edges]
        made = commits.add_commit(txn, record, origin=AUTO, upstream=[head for head in heads if head])
        txn.opened.append(made.key)
        moved.add(key)


def _is_in_set(txn: Transaction, record: BranchRecord) -> bool:
    return record.head is not None and commits.get_commit(txn.db, record.head).commit.id == txn.id


def _is_spout_output(txn: Transaction, record: BranchRecord) -> bool:
    """A branch below a spec repo only is a spout's: a new version of the spec makes no commit on it."""
    return all(each.branch.repo.type == "spec" for each in branches.direct_provenance(txn.db, record.key))
