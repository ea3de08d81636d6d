"""Create, find and delete projects and repos.

The texts of the errors are upstream's, because clients match on them.

Read next: branches.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from pachlet.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Refused
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import DEFAULT_PROJECT, FILESETS_REPO, META, SPEC, USER, Repo, check_name
from pachlet.pfs.records import RepoRecord
from pachlet.pfs.transactions import Transaction


def ensure_default_project(txn: Transaction) -> None:
    """Make the project that every server has."""
    if find_project(txn.db, DEFAULT_PROJECT) is None:
        txn.db.run("add_project", name=DEFAULT_PROJECT, description="", created=txn.now)


def find_project(db: Statements, name: str) -> Row | None:
    """Return a project's row, or None."""
    return db.first("get_project", name=name)


def inspect_project(db: Statements, name: str) -> Row:
    """Return a project's row; raise NotFound."""
    row = find_project(db, name)
    if row is None:
        raise NotFound(f'project "{name}" not found', hint=f"pachctl create project {name}")
    return row


def create_project(txn: Transaction, name: str, description: str, *, update: bool) -> None:
    """Create a project, or with `update` change its description."""
    check_name("project", name)
    if update:
        inspect_project(txn.db, name)
        txn.db.run("set_project_description", name=name, description=description)
        return
    if find_project(txn.db, name) is not None:
        raise AlreadyExists(f"project {name} already exists")
    txn.db.run("add_project", name=name, description=description, created=txn.now)


def delete_project(txn: Transaction, name: str) -> None:
    """Delete a project that has no repos."""
    inspect_project(txn.db, name)
    for row in txn.db.all("list_repos", project=name, type=""):
        raise FailedPrecondition(
            f"cannot delete project {name}: repo {RepoRecord.of(row).repo} still exists",
            hint="delete its pipelines and repos first",
        )
    txn.db.run("delete_project", name=name)


def find_repo(db: Statements, repo: Repo) -> RepoRecord | None:
    """Return a repo, or None."""
    row = db.first("get_repo", project=repo.project, name=repo.name, type=repo.type)
    return RepoRecord.of(row) if row else None


def inspect_repo(db: Statements, repo: Repo) -> RepoRecord:
    """Return a repo; raise NotFound."""
    found = find_repo(db, repo)
    if found is None:
        raise NotFound(
            f"repo {repo} not found", hint=f"pachctl create repo {repo.name} --project {repo.project}"
        )
    return found


def list_repos(db: Statements, type: str = "", projects: tuple[str, ...] = ()) -> list[RepoRecord]:
    """Return the repos of a type ('' is any) and of some projects (none is all), oldest first."""
    repos = [RepoRecord.of(row) for row in db.all("list_repos", project="", type=type)]
    return [each for each in repos if not projects or each.repo.project in projects]


def create_repo(txn: Transaction, repo: Repo, description: str = "", *, update: bool = False) -> RepoRecord:
    """Create a repo; with `update` one that exists gets the description instead."""
    check_name("repo", repo.name)
    if repo.name == FILESETS_REPO:
        raise InvalidArgument(f"repo name {repo.name} is reserved")
    if find_project(txn.db, repo.project) is None:
        raise NotFound(
            f'cannot create repo "{repo.name}": project "{repo.project}" not found',
            hint=f"pachctl create project {repo.project}",
        )
    found = find_repo(txn.db, repo)
    if found is not None:
        if not update:
            raise AlreadyExists(f"repo {repo} already exists")
        txn.db.run("set_repo_description", key=found.key, description=description)
        return inspect_repo(txn.db, repo)
    if repo.type in (META, SPEC):
        inspect_repo(txn.db, Repo(repo.project, repo.name))
    txn.db.run(
        "add_repo",
        project=repo.project,
        name=repo.name,
        type=repo.type,
        description=description,
        created=txn.now,
    )
    return inspect_repo(txn.db, repo)


def delete_repo(txn: Transaction, repo: Repo, *, force: bool = False) -> bool:
    """Delete a repo and its system repos with all that is in them; return whether it was there.

    Raises:
        Refused: a branch of another repo depends on one of its branches, and `force` is not given.
    """
    return bool(delete_repos(txn, [repo], force=force))


def delete_repos(txn: Transaction, wanted: Iterable[Repo], *, force: bool = False) -> list[Repo]:
    """Delete several repos, which may depend on each other; return those that were there."""
    found = [record for repo in wanted if (record := find_repo(txn.db, repo)) is not None]
    records: list[RepoRecord] = []
    for record in found:
        project, name = record.repo.project, record.repo.name
        if record.repo.type == USER:
            records += map(RepoRecord.of, txn.db.all("repos_of_name", project=project, name=name))
        else:
            records.append(record)
    records = list(dict.fromkeys(records))
    if not force:
        _refuse_if_used(txn, records)
    for record in records:
        for row in txn.db.all("list_branches", repo=record.key):
            txn.db.run("clear_branch_provenance", branch=row["key"])
            txn.db.run("clear_branch_subvenance", branch=row["key"])
            txn.moved.discard(row["key"])
    for record in records:
        for statement in (
            "delete_commit_edges_of_repo",
            "delete_triggers_of_repo",
            "delete_staged_of_repo",
            "clear_heads_of_repo",
            "delete_commits_of_repo",
            "delete_branches_of_repo",
        ):
            txn.db.run(statement, repo=record.key)
        txn.db.run("delete_repo", key=record.key)
    return [record.repo for record in found]


def _refuse_if_used(txn: Transaction, records: list[RepoRecord]) -> None:
    keys = {record.key for record in records}
    for record in records:
        for row in txn.db.all("list_branches", repo=record.key):
            for edge in txn.db.all("downstream_of_branch", branch=row["key"]):
                below = txn.db.first("get_branch_by_key", key=edge["branch"])
                if below is not None and below["repo"] not in keys:
                    raise Refused(
                        f"branch {record.repo}@{row['name']} has {below['project']}/{below['repo_name']}"
                        f"@{below['name']} as subvenance, deleting it would break those branches",
                        hint="delete what depends on it first, or use --force",
                    )
