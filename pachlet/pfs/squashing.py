"""Take commits out of history: squash (the data lives on in what came after), drop (it does not), clear, forget.

A commit goes with everything that was made from it, because provenance never points to nothing. Branches that stood on
a commit step back to its parent; one that is left without a head gets an empty commit. A finished commit has a file
tree of its own, so its children lose nothing when it goes.

Read next: commits.py, propagation.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from pachlet.errors import Refused
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import META, SPEC, Repo
from pachlet.paths import USER as USER_REPO
from pachlet.pfs import branches, commits
from pachlet.pfs.records import USER, CommitRecord
from pachlet.pfs.repos import find_repo
from pachlet.pfs.transactions import Transaction


def squash_commit_set(txn: Transaction, id: str) -> None:
    """Delete the commits with one id; each must have a child to leave its data to."""
    _delete_squashed(txn, _removable_set(txn.db, id))


def drop_commit_set(txn: Transaction, id: str) -> None:
    """Delete the commits with one id, and their data; none may have a child."""
    _delete_dropped(txn, _removable_set(txn.db, id))


def squash_commit(txn: Transaction, record: CommitRecord, *, is_recursive: bool) -> None:
    """Delete a commit, and with `is_recursive` all that was made from it, leaving the data to the children."""
    _delete_squashed(txn, _with_subvenance(txn.db, record, "squash", is_recursive=is_recursive))


def drop_commit(txn: Transaction, record: CommitRecord, *, is_recursive: bool) -> None:
    """Delete a commit, and with `is_recursive` all that was made from it, with the data."""
    _delete_dropped(txn, _with_subvenance(txn.db, record, "drop", is_recursive=is_recursive))


def clear_commit(txn: Transaction, record: CommitRecord) -> None:
    """Give up what was written to an open commit so far."""
    if not record.is_open:
        raise Refused("cannot clear finished commit", hint="drop the commit, or write another")
    txn.db.run("delete_staged", commit=record.key)


def forget_commit(txn: Transaction, record: CommitRecord) -> None:
    """Give up the files of a commit that was made from others, and so could be made again; the commit stays."""
    if record.finished is None or any(each.finished is None for each in commits.children(txn.db, record.key)):
        raise Refused("direct descendants must be closed")
    if not commits.upstream(txn.db, record.key):
        raise Refused("the commit to be forgotten must be in an output repo")
    if txn.db.all("branches_headed_by", commit=record.key):
        raise Refused("the branch head cannot be a forgotten commit")
    if any(each.finished is None for each in _subvenance(txn.db, record)):
        raise Refused(f"commit {record.commit} is still being read by what is made from it")
    _check_heirs(txn.db, record)
    txn.db.run("forget_commit", commit=record.key)


def _removable_set(db: Statements, id: str) -> list[CommitRecord]:
    """Return the commits with one id, upstream first; refuse if there are commits elsewhere that need them."""
    below = _sets_below(db, id)
    if below:
        raise Refused(
            f'commit set "{id}" cannot be dropped because it has subvenant commit sets: [{" ".join(below)}]',
            hint="remove those first",
        )
    records = commits.inspect_commit_set(db, id)
    return [each for each in records if each.commit.id == id]


def _sets_below(db: Statements, id: str) -> list[str]:
    """Return the ids of the commit sets that depend on a set, or on one that does."""
    found: set[str] = set()
    todo = [id]
    while todo:
        for row in db.all("commits_below_set", id=todo.pop()):
            if row["id"] not in found and row["id"] != id:
                found.add(row["id"])
                todo.append(row["id"])
    return sorted(found)


def _with_subvenance(
    db: Statements, record: CommitRecord, verb: str, *, is_recursive: bool
) -> list[CommitRecord]:
    """Return a commit and all that was made from it, upstream first."""
    own = _with_twins(db, [record])
    below = {each.key: each for start in own.values() for each in _subvenance(db, start)}
    if not is_recursive and set(below) - set(own):
        raise Refused(
            f"cannot {verb} commit ({record.commit}) with subvenance without recursive",
            hint="use --recursive to remove what was made from it too",
        )
    found = own | _with_twins(db, below.values())
    return [found[key] for key in sorted(found)]


def _with_twins(db: Statements, records: Iterable[CommitRecord]) -> dict[int, CommitRecord]:
    """Return commits by key, each output commit of a pipeline with the meta commit of its job, and back."""
    found: dict[int, CommitRecord] = {}
    for record in records:
        found[record.key] = record
        repo = record.commit.repo
        other = repo.meta if repo.type == USER_REPO else Repo(repo.project, repo.name)
        twin_repo = find_repo(db, other) if repo.type in (USER_REPO, META) else None
        row = db.first("get_commit", repo=twin_repo.key, id=record.commit.id) if twin_repo else None
        if row is not None:
            found[row["key"]] = CommitRecord.of(row)
    return found


def _subvenance(db: Statements, record: CommitRecord) -> list[CommitRecord]:
    return [CommitRecord.of(row) for row in db.all("commits_below", commit=record.key)]


def _delete_squashed(txn: Transaction, records: list[CommitRecord]) -> None:
    _refuse_specs(records)
    for record in records:
        if not commits.children(txn.db, record.key):
            raise Refused(
                "cannot squash a commit that has no children as that would cause data loss, "
                f"use the drop operation instead: {record.commit}"
            )
    for record in records:
        _check_heirs(txn.db, record)
    _delete(txn, records)


def _delete_dropped(txn: Transaction, records: list[CommitRecord]) -> None:
    _refuse_specs(records)
    for record in records:
        if commits.children(txn.db, record.key):
            raise Refused(
                f"cannot drop a commit that has children: {record.commit}",
                hint="squash it, or drop those first",
            )
    _delete(txn, records)


def _refuse_specs(records: list[CommitRecord]) -> None:
    for record in records:
        if record.commit.repo.type == SPEC and record.origin == USER:
            raise Refused(f"cannot squash commit {record.commit} because it updated a pipeline")


def _check_heirs(db: Statements, record: CommitRecord) -> None:
    """Refuse if what comes after a commit has still to start from its files.

    A child holds them once it is finished. One that failed is passed over by its own children, so these must hold
    them; if it has none, the next commit would start without.
    """
    for child in commits.children(db, record.key):
        if child.finished is None:
            wait = "" if child.is_open else ", consider using WaitCommit"
            raise Refused(f"cannot squash until child commit {child.commit} is finished{wait}")
        if child.error and not record.error:
            if not commits.children(db, child.key):
                raise Refused(
                    f"cannot squash commit {record.commit}: child commit {child.commit} finished with an error, "
                    "so the next commit starts from this one",
                    hint="drop the child first, or make another commit",
                )
            _check_heirs(db, child)


def _delete(txn: Transaction, records: list[CommitRecord]) -> None:
    headless: list[list[int]] = []
    for record in records:
        current = commits.get_commit(txn.db, record.key)  # its parent may have gone just now
        standing = [row["key"] for row in txn.db.all("branches_headed_by", commit=record.key)]
        if standing and current.parent is not None:
            if commits.get_commit(txn.db, current.parent).is_forgotten:
                raise Refused("the branch head cannot be a forgotten commit")
        elif standing:
            headless.append(standing)
        txn.db.run("move_heads", commit=record.key, head=current.parent, now=txn.now)
        txn.db.run("reparent_children", commit=record.key, parent=current.parent)
        txn.db.run("delete_commit_edges", commit=record.key)
        txn.db.run("delete_staged", commit=record.key)
        txn.db.run("delete_commit", commit=record.key)
        for keys in (txn.opened, txn.finishing, txn.settled):
            if record.key in keys:
                keys.remove(record.key)
        txn.deleted.append(record.key)
    for first, *others in headless:
        made = branches.add_empty_commit(txn, branches.get_branch(txn.db, first))
        for key in others:
            branches.set_head(txn, key, made.key)
