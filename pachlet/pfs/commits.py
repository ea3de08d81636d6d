"""Start, finish, find and list commits.

Since 2.6 a commit is known by repo and id. A repo may have no commit with an id and still answer for it: then the
commit that the set's others were made from stands for it, if there is one (up to 2.5 these were stored, as aliases).

Read next: resolving.py (what `master^2` means), finishing.py (how content is settled), propagation.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pachlet.errors import NotFound, Refused
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import SPEC, Branch, Commit, Repo
from pachlet.pfs import branches
from pachlet.pfs.marks import triggered_by
from pachlet.pfs.records import AUTO, USER, BranchRecord, CommitRecord
from pachlet.pfs.repos import find_repo, inspect_repo
from pachlet.pfs.transactions import Transaction


def get_commit(db: Statements, key: int) -> CommitRecord:
    """Return the commit with a key that is known to exist."""
    row = db.first("get_commit_by_key", key=key)
    if row is None:
        raise NotFound("a commit in use was deleted")
    return CommitRecord.of(row)


def find_commit(db: Statements, commit: Commit) -> CommitRecord | None:
    """Return the commit of a repo with an id, or what stands for it in that commit set, or None."""
    repo = find_repo(db, commit.repo)
    if repo is None:
        return None
    row = db.first("get_commit", repo=repo.key, id=commit.id)
    if row is not None:
        return CommitRecord.of(row)
    for record in commits_behind_set(db, commit.id):
        if record.repo_key == repo.key:
            return record
    return None


def inspect_commit(db: Statements, commit: Commit) -> CommitRecord:
    """Return the commit of a repo with an id, or what stands for it; raise NotFound."""
    found = find_commit(db, commit)
    if found is None:
        inspect_repo(db, commit.repo)
        where = f"{commit.repo.name} --project {commit.repo.project}"
        raise NotFound(f"commit {commit} not found", hint=f"pachctl list commit {where}")
    return found


def commits_of_set(db: Statements, commit_set: str) -> list[CommitRecord]:
    """Return the commits with one id, in the order made, which is a topological one."""
    return [CommitRecord.of(row) for row in db.all("commits_of_set", id=commit_set)]


def commits_behind_set(db: Statements, commit_set: str) -> list[CommitRecord]:
    """Return the commits with one id and everything upstream of them, newest first."""
    rows = db.all("commit_provenance_of_set", id=commit_set)
    return [CommitRecord.of(row) for row in reversed(rows)]


def inspect_commit_set(db: Statements, commit_set: str) -> list[CommitRecord]:
    """Return what stands behind a set and then the set itself, in topological order; raise NotFound."""
    own = commits_of_set(db, commit_set)
    if not own:
        raise NotFound(f"no commits found for commitset {commit_set}", hint="pachctl list commit")
    mine = {each.key for each in own}
    behind: dict[int, CommitRecord] = {}
    for each in commits_behind_set(db, commit_set):
        if each.key not in mine:
            behind.setdefault(each.repo_key, each)
    own_repos = {each.repo_key for each in own}
    return [*sorted((c for c in behind.values() if c.repo_key not in own_repos), key=lambda c: c.key), *own]


def list_commit_sets(db: Statements, project: str = "") -> list[str]:
    """Return the ids of all commit sets (with a commit in `project`, if given), newest first."""
    return [row["id"] for row in db.all("list_commit_sets", project=project)]


def upstream(db: Statements, key: int) -> list[CommitRecord]:
    """Return a commit's direct provenance."""
    return [CommitRecord.of(row) for row in db.all("upstream_of_commit", commit=key)]


def downstream(db: Statements, key: int) -> list[CommitRecord]:
    """Return a commit's direct subvenance."""
    return [CommitRecord.of(row) for row in db.all("downstream_of_commit", commit=key)]


def children(db: Statements, key: int) -> list[CommitRecord]:
    """Return the commits that have a commit as their parent."""
    return [CommitRecord.of(row) for row in db.all("children_of_commit", commit=key)]


def is_placeholder(db: Statements, record: CommitRecord) -> bool:
    """Tell whether a commit is the empty one that the engine gives a branch without provenance for a head."""
    return record.origin == AUTO and not upstream(db, record.key)


def waiting_children(db: Statements, key: int) -> list[CommitRecord]:
    """Return the children of a commit that were told to finish and can't before it is finished."""
    return [each for each in children(db, key) if not each.is_open and each.finished is None]


def ancestors(db: Statements, record: CommitRecord) -> Iterator[CommitRecord]:
    """Yield a commit's parent, its parent and so on."""
    while record.parent is not None:
        record = get_commit(db, record.parent)
        yield record


def content_base(db: Statements, record: CommitRecord) -> CommitRecord | None:
    """Return the commit whose content a commit starts from: its nearest ancestor without an error.

    That is never a forgotten one: nothing is started from it, and it has heirs that are finished.
    """
    return next((each for each in ancestors(db, record) if not each.error), None)


def finished_base(db: Statements, record: CommitRecord) -> CommitRecord | None:
    """Return what `content_base` does; raise Refused if that is not finished."""
    base = content_base(db, record)
    if base is not None and base.finished is None:
        raise Refused(
            f"base commit {base.commit} for commit {record.commit} unfinished",
            hint="finish it, or wait for its job",
        )
    return base


def start_commit(
    txn: Transaction, branch: Branch, *, parent: CommitRecord | None = None, description: str = ""
) -> CommitRecord:
    """Start a commit of a user on a branch, which is created if need be.

    An output branch is not for users, but that of a spout is: no job writes it, and whether it is the spout that calls
    can't be seen. Its commits are downstream of the version of the spec that made them.

    Raises:
        Refused: the branch is an output branch, its head is not finished, or the transaction has a commit in the repo.
    """
    branches.check_branch_name(branch.name)
    inspect_repo(txn.db, branch.repo)
    record = branches.find_branch(txn.db, branch)
    if record is None:
        key = txn.db.run(
            "add_branch", repo=inspect_repo(txn.db, branch.repo).key, name=branch.name, now=txn.now
        )
        record = branches.get_branch(txn.db, key)
    upstream = branches.direct_provenance(txn.db, record.key)
    if not branches.is_below_spec_alone(upstream):
        raise Refused(f"cannot start a commit on an output branch: {branch}")
    if parent is None and record.head is not None:
        parent = get_commit(txn.db, record.head)
    if parent is not None and parent.is_open:
        raise Refused(
            f"parent commit {parent.commit} has not been finished",
            hint=f"pachctl finish commit {branch.repo.name}@{parent.commit.id} --project {branch.repo.project}",
        )
    heads = [each.head for each in upstream if each.head]
    return add_commit(txn, record, origin=USER, parent=parent, upstream=heads, description=description)


def add_commit(
    txn: Transaction,
    branch: BranchRecord,
    *,
    origin: str,
    parent: CommitRecord | None = None,
    upstream: Iterable[int] = (),
    description: str = "",
    causes: Iterable[str] = (),
) -> CommitRecord:
    """Add an open commit to a branch and make it the head; its parent is the old head unless one is given.

    It says who made it: of the engine's, which branches moved, if that was the cause.
    """
    if txn.db.first("get_commit", repo=branch.repo_key, id=txn.id) is not None:
        raise Refused(
            f"inconsistent dependencies: cannot create commit from {branch.branch}; repo ({branch.branch.repo}) "
            "already has a commit in this transaction"
        )
    parent_key = parent.key if parent else branch.head
    if parent_key is not None and get_commit(txn.db, parent_key).is_forgotten:
        raise Refused("the commit is forgotten", hint="start from a commit that has its files")
    key = txn.db.run(
        "add_commit",
        id=txn.id,
        repo=branch.repo_key,
        branch=branch.branch.name,
        parent=parent_key,
        origin=origin,
        description=description or (txn.mark.message if origin == USER else ""),
        started=txn.now,
        metadata=txn.mark.metadata() if origin == USER else triggered_by(causes, txn.mark),
    )
    for each in upstream:
        txn.db.run("add_commit_provenance", commit=key, upstream=each)
    branches.set_head(txn, branch.key, key)
    return get_commit(txn.db, key)


def finish_commit(txn: Transaction, record: CommitRecord, *, description: str = "", error: str = "") -> None:
    """Close a commit: no write after this; its content is settled right after the transaction."""
    if not record.is_open:
        raise Refused(f"commit {record.commit} has already finished")
    start_finishing(txn, record, description=description, error=error)


def start_finishing(
    txn: Transaction, record: CommitRecord, *, description: str = "", error: str = ""
) -> None:
    """Mark an open commit as finishing; one that nothing was written to is finished at once if its base is.

    Not so where it may fire triggers: what they set off is a commit set of its own, in a later transaction.
    """
    description = description or record.description
    txn.db.run("start_finishing", key=record.key, now=txn.now, error=error, description=description)
    base = content_base(txn.db, record)
    is_settled = base is None or base.finished is not None
    if txn.db.value("repo_has_triggers", repo=record.repo_key) and not is_placeholder(txn.db, record):
        is_settled = False
    if is_settled and txn.db.value("last_staged", commit=record.key) is None:
        txn.db.run(
            "finish_commit",
            key=record.key,
            now=txn.now,
            root=base.root if base else None,
            size=base.size if base else 0,
            error=error,
        )
        txn.settled.append(record.key)
        txn.finishing += [each.key for each in waiting_children(txn.db, record.key)]
    else:
        txn.finishing.append(record.key)


def list_commits(
    db: Statements,
    repo: Repo | None,
    *,
    origin: str = "",
    number: int = 0,
    started: int | None = None,
    reverse: bool = False,
) -> list[CommitRecord]:
    """Return a repo's commits (None is all repos'), newest first, or oldest first with `reverse`.

    Args:
        origin: only of this origin, if given.
        number: at most so many; 0 is all.
        started: only those started before this time (after it, with `reverse`).
    """
    key = inspect_repo(db, repo).key if repo else None
    limit = number or -1
    if reverse:
        rows = db.all("oldest_commits", repo=key, origin=origin, after=started, above=0, number=limit)
    else:
        rows = db.all("newest_commits", repo=key, origin=origin, before=started, number=limit)
    return [CommitRecord.of(row) for row in rows]


def list_ancestry(
    db: Statements, newest: CommitRecord, oldest: CommitRecord | None
) -> Iterator[CommitRecord]:
    """Yield `newest` and its ancestors, down to `oldest` (not included)."""
    record: CommitRecord | None = newest
    chain = ancestors(db, newest)
    while record is not None and (oldest is None or record.key != oldest.key):
        yield record
        record = next(chain, None)


def commits_after(db: Statements, repo_key: int, above: int, origin: str = "") -> list[CommitRecord]:
    """Return a repo's commits that were made after the one with the key `above`, oldest first."""
    rows = db.all("oldest_commits", repo=repo_key, origin=origin, after=None, above=above, number=-1)
    return [CommitRecord.of(row) for row in rows]


def is_pipeline_output(db: Statements, record: CommitRecord) -> bool:
    """Tell whether a commit depends on a spec commit, and not on it alone, as a spout's: then a job finishes it."""
    types = {each.commit.repo.type for each in upstream(db, record.key)}
    return SPEC in types and types != {SPEC}
