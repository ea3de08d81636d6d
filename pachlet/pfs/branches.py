"""Create, find and delete branches, and the provenance between them.

A branch with provenance is an output branch: the engine makes its commits, whenever a branch upstream moves. All
branches joined by provenance form a DAG; one repo may have only one branch in it, because commit sets hold at most
one commit per repo.

Read next: propagation.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pachlet.errors import InvalidArgument, NotFound, PachletError, Refused
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import SPEC, Branch, Repo, check_name
from pachlet.pfs import commits
from pachlet.pfs.records import AUTO, BranchRecord, CommitRecord
from pachlet.pfs.repos import find_repo, inspect_repo
from pachlet.pfs.transactions import Transaction
from pachlet.pfs.triggers import Trigger, check_trigger, put_trigger


class CycleError(PachletError):
    """Provenance would go round in a circle."""

    code = "INTERNAL"


def get_branch(db: Statements, key: int) -> BranchRecord:
    """Return the branch with a key that is known to exist."""
    row = db.first("get_branch_by_key", key=key)
    if row is None:
        raise NotFound("a branch in use was deleted")
    return BranchRecord.of(row)


def find_branch(db: Statements, branch: Branch) -> BranchRecord | None:
    """Return a branch, or None (also when its repo is missing)."""
    repo = find_repo(db, branch.repo)
    row = db.first("get_branch", repo=repo.key, name=branch.name) if repo else None
    return BranchRecord.of(row) if row else None


def inspect_branch(db: Statements, branch: Branch) -> BranchRecord:
    """Return a branch; raise NotFound. Clients match on the beginning of this text."""
    found = find_branch(db, branch)
    if found is None:
        raise NotFound(f'branch "{branch.name}" not found in repo {branch.repo}')
    return found


def list_branches(db: Statements, repo: Repo) -> list[BranchRecord]:
    """Return a repo's branches, newest first."""
    return [BranchRecord.of(row) for row in db.all("list_branches", repo=inspect_repo(db, repo).key)]


def direct_provenance(db: Statements, branch_key: int) -> list[BranchRecord]:
    """Return the branches that a branch was created with as provenance, in that order."""
    return [get_branch(db, row["upstream"]) for row in db.all("upstream_of_branch", branch=branch_key)]


def provenance(db: Statements, branch_key: int) -> list[BranchRecord]:
    """Return everything upstream of a branch, nearest first."""
    return [get_branch(db, row["key"]) for row in db.all("provenance_of_branch", branch=branch_key)]


def subvenance(db: Statements, branch_key: int) -> list[BranchRecord]:
    """Return everything downstream of a branch, nearest first."""
    return [get_branch(db, row["key"]) for row in db.all("subvenance_of_branch", branch=branch_key)]


def create_branch(
    txn: Transaction,
    branch: Branch,
    *,
    head: CommitRecord | None = None,
    upstream: Sequence[Branch] = (),
    never_propagate: Iterable[Branch] = (),
    trigger: Trigger | None = None,
) -> BranchRecord:
    """Create a branch or change one: its provenance is replaced, its head moved where `head` is given.

    A branch without a head, or with new provenance, gets a new commit: finished at once when nothing is upstream, open
    otherwise. Branches named as provenance that do not exist yet are created with an empty commit. A branch keeps its
    trigger unless it is given another.
    """
    check_branch_name(branch.name)
    if trigger is not None:
        check_trigger(txn.db, branch, trigger)
        if upstream:
            raise Refused("a branch cannot have both provenance and a trigger")
    repo = inspect_repo(txn.db, branch.repo)
    if head is not None and head.repo_key != repo.key:
        raise Refused("branch and head commit must belong to the same repo")
    if any(each.repo == branch.repo for each in upstream):
        raise Refused(f"repo {branch.repo} cannot be in the provenance of its own branch")
    found = find_branch(txn.db, branch)
    key = found.key if found else txn.db.run("add_branch", repo=repo.key, name=branch.name, now=txn.now)
    if head is not None:
        set_head(txn, key, head.key)
    is_changed = _replace_provenance(txn, key, upstream, never_propagate)
    if trigger is not None:
        put_trigger(txn, key, trigger)
    record = get_branch(txn.db, key)
    if record.head is None or (is_changed and upstream):
        add_empty_commit(txn, record)
    return get_branch(txn.db, key)


def check_branch_name(name: str) -> None:
    """Refuse names that could be taken for something else."""
    if not name:
        raise InvalidArgument("branch must be specified")
    check_name("branch", name)


def set_head(txn: Transaction, branch_key: int, commit_key: int) -> None:
    """Move a branch to a commit; what is downstream follows at the end of the transaction."""
    if commits.get_commit(txn.db, commit_key).is_forgotten:
        raise Refused("the branch head cannot be a forgotten commit")
    txn.db.run("set_head", key=branch_key, head=commit_key, now=txn.now)
    txn.moved.add(branch_key)


def _replace_provenance(
    txn: Transaction, key: int, upstream: Sequence[Branch], never_propagate: Iterable[Branch]
) -> bool:
    wanted = list(dict.fromkeys(_find_or_create(txn, each).key for each in upstream))
    below = {row["key"] for row in txn.db.all("subvenance_of_branch", branch=key)}
    for each in wanted:
        if each in below:
            circle = get_branch(txn.db, each).branch
            raise CycleError(f"cycle detected because {circle} is already in the subvenance of "
                             f"{get_branch(txn.db, key).branch}")  # fmt: skip
    before = [row["upstream"] for row in txn.db.all("upstream_of_branch", branch=key)]
    quiet = set(never_propagate)
    txn.db.run("clear_branch_provenance", branch=key)
    for position, each in enumerate(wanted):
        propagate = get_branch(txn.db, each).branch not in quiet
        txn.db.run(
            "add_branch_provenance", branch=key, upstream=each, position=position, propagate=int(propagate)
        )
    if not set(wanted) <= set(before):
        _check_dag(txn, key)
    return sorted(before) != sorted(wanted)


def _find_or_create(txn: Transaction, branch: Branch) -> BranchRecord:
    return find_branch(txn.db, branch) or create_branch(txn, branch)


def add_empty_commit(txn: Transaction, record: BranchRecord) -> CommitRecord:
    """Add a commit of the engine to a branch: open where a job will finish it, otherwise finished and empty.

    There is a job below a pipeline's inputs, not below its spec alone: a spout's output is written by the spout.
    """
    upstream = direct_provenance(txn.db, record.key)
    made = commits.add_commit(
        txn, record, origin=AUTO, upstream=[each.head for each in upstream if each.head]
    )
    if is_below_spec_alone(upstream):
        commits.start_finishing(txn, made)
    else:
        txn.opened.append(made.key)
    return made


def is_below_spec_alone(upstream: Iterable[BranchRecord]) -> bool:
    """Tell whether a branch with this direct provenance has no commits made for it: it has none, or is a spout's."""
    return all(each.branch.repo.type == SPEC for each in upstream)


def _check_dag(txn: Transaction, key: int) -> None:
    """Refuse a DAG (followed both ways from a branch) that holds two branches of one repo."""
    row = txn.db.first("repo_twice_in_dag", branch=key)
    if row is not None:
        repo = Repo(row["project"], row["name"], row["type"])
        raise Refused(f'multiple branches from the same repo, "{repo}", cannot participate in a DAG')


def delete_branch(txn: Transaction, branch: Branch, *, force: bool = False) -> None:
    """Delete a branch; its commits stay."""
    record = inspect_branch(txn.db, branch)
    below = subvenance(txn.db, record.key)
    if below and not force:
        names = ", ".join(str(each.branch) for each in below)
        raise Refused(
            f"branch {branch} has {names} as subvenance, deleting it would break those branches",
            hint="delete what depends on it first, or use --force",
        )
    txn.db.run("clear_branch_provenance", branch=record.key)
    txn.db.run("clear_branch_subvenance", branch=record.key)
    txn.db.run("delete_trigger", branch=record.key)
    txn.db.run("forget_branch_of_commits", repo=record.repo_key, branch=branch.name)
    txn.db.run("delete_branch", key=record.key)
    txn.moved.discard(record.key)
