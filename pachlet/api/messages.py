"""Make the messages of PFS out of what the database holds.

Everything nested is always sent, empty where there is nothing: Pachyderm's Go client reads through it without looking.

Read next: pfs_service.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pachlet.api.names import NANOS
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.paths import Branch, Commit, Repo
from pachlet.pfs import branches, commits
from pachlet.pfs.marks import AUTHOR
from pachlet.pfs.records import USER, BranchRecord, CommitRecord, RepoRecord
from pachlet.pfs.triggers import Trigger, find_trigger
from pachlet.storage.fileset import Info
from pachlet.wire import schema


def make(full_name: str, **fields: Any) -> Any:
    """Return a new message."""
    return schema.message(full_name)(**fields)


def empty() -> Any:
    """Return google.protobuf.Empty."""
    return make("google.protobuf.Empty")


def timestamp(nanoseconds: int | None) -> Any:
    """Return a Timestamp, or None for a time that has not come."""
    if nanoseconds is None:
        return None
    return make("google.protobuf.Timestamp", seconds=nanoseconds // NANOS, nanos=nanoseconds % NANOS)


def duration(nanoseconds: int) -> Any:
    """Return a Duration."""
    return make("google.protobuf.Duration", seconds=nanoseconds // NANOS, nanos=nanoseconds % NANOS)


def project(name: str) -> Any:
    """Return a pfs_v2.Project."""
    return make("pfs_v2.Project", name=name)


def project_info(row: Row) -> Any:
    """Return a pfs_v2.ProjectInfo."""
    return make(
        "pfs_v2.ProjectInfo",
        project=project(row["name"]),
        description=row["description"],
        created_at=timestamp(row["created"]),
        metadata=read_json(row["metadata"]),
    )


def repo(name: Repo) -> Any:
    """Return a pfs_v2.Repo."""
    return make("pfs_v2.Repo", name=name.name, type=name.type, project=project(name.project))


def branch(name: Branch) -> Any:
    """Return a pfs_v2.Branch."""
    return make("pfs_v2.Branch", repo=repo(name.repo), name=name.name)


def commit(name: Commit, branch_name: str) -> Any:
    """Return a pfs_v2.Commit."""
    return make(
        "pfs_v2.Commit", repo=repo(name.repo), id=name.id, branch=branch(Branch(name.repo, branch_name))
    )


def commit_of(record: CommitRecord) -> Any:
    """Return the pfs_v2.Commit of a record."""
    return commit(record.commit, record.branch)


def commit_info(db: Statements, record: CommitRecord) -> Any:
    """Return a pfs_v2.CommitInfo."""
    info = make(
        "pfs_v2.CommitInfo",
        commit=commit_of(record),
        origin=make("pfs_v2.CommitOrigin", kind=1 if record.origin == USER else 2),
        description=record.description,
        parent_commit=commit_of(commits.get_commit(db, record.parent)) if record.parent else None,
        child_commits=[commit_of(each) for each in commits.children(db, record.key)],
        started=timestamp(record.started),
        finishing=timestamp(record.finishing),
        finished=timestamp(record.finished),
        error=record.error,
        size_bytes_upper_bound=record.size,
        direct_provenance=[commit_of(each) for each in commits.upstream(db, record.key)],
        direct_subvenance=[commit_of(each) for each in commits.downstream(db, record.key)],
        created_at=timestamp(record.started),
        updated_at=timestamp(record.finished or record.finishing or record.started),
        metadata=(metadata := read_json(record.metadata)),
        created_by=metadata.get(AUTHOR, ""),
    )
    if record.finished is not None:
        info.details.size_bytes = record.size
    return info


def branch_info(db: Statements, record: BranchRecord) -> Any:
    """Return a pfs_v2.BranchInfo."""
    found = find_trigger(db, record.key)
    upstream = branches.direct_provenance(db, record.key)
    specs = zip(upstream, db.all("upstream_of_branch", branch=record.key), strict=True)
    return make(
        "pfs_v2.BranchInfo",
        branch=branch(record.branch),
        head=commit_of(commits.get_commit(db, record.head)) if record.head else None,
        provenance=[branch(each.branch) for each in branches.provenance(db, record.key)],
        subvenance=[branch(each.branch) for each in branches.subvenance(db, record.key)],
        direct_provenance=[branch(each.branch) for each in upstream],
        trigger=trigger(found) if found else None,
        branch_propagation_specs=[_never(each.branch) for each, edge in specs if not edge["propagate"]],
        metadata=read_json(record.metadata),
        created_at=timestamp(record.created),
        updated_at=timestamp(record.updated),
    )


def _never(name: Branch) -> Any:
    """Return the pfs_v2.BranchPropagationSpec of an edge that passes nothing on."""
    never = make("pfs_v2.PropagationSpec", never=True)
    return make("pfs_v2.BranchPropagationSpec", branch=branch(name), propagation_spec=never)


def trigger(of: Trigger) -> Any:
    """Return a pfs_v2.Trigger."""
    return make(
        "pfs_v2.Trigger",
        branch=of.branch,
        all=of.needs_all,
        rate_limit_spec=of.rate_limit_spec,
        size=of.size,
        commits=of.commits,
        cron_spec=of.cron_spec,
    )


def repo_info(db: Statements, record: RepoRecord) -> Any:
    """Return a pfs_v2.RepoInfo; its size is that of the newest finished commit of master."""
    size = 0
    master = branches.find_branch(db, Branch(record.repo, "master"))
    if master is not None and master.head is not None:
        head = commits.get_commit(db, master.head)
        size = next((c.size for c in [head, *commits.ancestors(db, head)] if c.finished is not None), 0)
    return make(
        "pfs_v2.RepoInfo",
        repo=repo(record.repo),
        created=timestamp(record.created),
        size_bytes_upper_bound=size,
        description=record.description,
        branches=[branch(each.branch) for each in branches.list_branches(db, record.repo)],
        details=make("pfs_v2.RepoInfo.Details", size_bytes=size),
        metadata=read_json(record.metadata),
    )


def file_info(record: CommitRecord, info: Info) -> Any:
    """Return a pfs_v2.FileInfo."""
    return file_infos(record)(info)


def file_infos(record: CommitRecord) -> Callable[[Info], Any]:
    """Return a function that makes a pfs_v2.FileInfo; for many, because all of a commit begin alike."""
    kind = schema.message("pfs_v2.FileInfo")
    start = kind(file=make("pfs_v2.File", commit=commit_of(record)), committed=timestamp(record.finishing))

    def show(info: Info) -> Any:
        shown = kind()
        shown.CopyFrom(start)
        shown.file.path = info.path
        shown.file.datum = "" if info.is_dir else info.tag
        shown.file_type = 2 if info.is_dir else 1
        shown.size_bytes = info.size
        shown.hash = info.hash
        return shown

    return show
