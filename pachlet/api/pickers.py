"""Find what a picker means: the newer RPCs name projects, repos, branches and commits this way.

Read next: names.py (the older way), history_service.py (who asks).
"""

from __future__ import annotations

from typing import Any

from pachlet.errors import InvalidArgument, NotFound
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import USER, Branch, Commit, Repo
from pachlet.pfs import branches, commits, repos
from pachlet.pfs.records import BranchRecord, CommitRecord, RepoRecord


def pick_project(db: Statements, picker: Any) -> Row:
    """Return the project that a pfs_v2.ProjectPicker means."""
    if picker.WhichOneof("picker") is None:
        raise InvalidArgument("project picker cannot be nil")
    return repos.inspect_project(db, picker.name)


def pick_repo(db: Statements, picker: Any) -> RepoRecord:
    """Return the repo that a pfs_v2.RepoPicker means."""
    if picker.WhichOneof("picker") is None:
        raise InvalidArgument("repo picker cannot be nil")
    project = pick_project(db, picker.name.project)["name"]
    return repos.inspect_repo(db, Repo(project, picker.name.name, picker.name.type or USER))


def pick_branch(db: Statements, picker: Any) -> BranchRecord:
    """Return the branch that a pfs_v2.BranchPicker means."""
    if picker.WhichOneof("picker") is None:
        raise InvalidArgument("branch picker cannot be nil")
    repo = pick_repo(db, picker.name.repo).repo
    return branches.inspect_branch(db, Branch(repo, picker.name.name))


def pick_commit(db: Statements, picker: Any) -> CommitRecord:
    """Return the commit that a pfs_v2.CommitPicker means."""
    steps = 0
    while picker.WhichOneof("picker") == "ancestor":
        steps += picker.ancestor.offset
        picker = picker.ancestor.start
    kind = picker.WhichOneof("picker")
    if kind is None:
        raise InvalidArgument("commit picker cannot be nil")
    if kind == "id":
        record = commits.inspect_commit(db, Commit(pick_repo(db, picker.id.repo).repo, picker.id.id))
    elif kind == "branch_head":
        record = _head(db, pick_branch(db, picker.branch_head))
    else:
        record = _from_root(db, picker.branch_root)
    return _ancestor(db, record, steps)


def _head(db: Statements, branch: BranchRecord) -> CommitRecord:
    if branch.head is None:
        raise NotFound(f"branch {branch.branch} has no head")
    return commits.get_commit(db, branch.head)


def _from_root(db: Statements, picker: Any) -> CommitRecord:
    head = _head(db, pick_branch(db, picker.branch))
    offset: int = picker.offset
    line = [head, *commits.ancestors(db, head)]
    if offset >= len(line):
        raise NotFound(
            f"invalid offset from branch root for head commit: {head.commit}, "
            f"offset: {offset}, maximum depth: {len(line)}"
        )
    return line[-1 - offset]


def _ancestor(db: Statements, record: CommitRecord, steps: int) -> CommitRecord:
    line = [record]
    for each in commits.ancestors(db, record) if steps else ():
        line.append(each)
        if len(line) > steps:
            break
    if steps >= len(line):
        raise NotFound(
            f"invalid offset for ancestor of commit: {record.commit}, "
            f"offset requested: {steps}, offset traversable: {len(line) - 1}"
        )
    return line[steps]
