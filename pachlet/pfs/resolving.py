"""Find the commit that a client means: by id, by branch, or by counting from there (`master^2`, `master~`, `master.1`).

Read next: commits.py.
"""

from __future__ import annotations

import re

from pachlet.errors import InvalidArgument, NotFound
from pachlet.ids import is_commit_id
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Branch, Commit, Repo
from pachlet.pfs.branches import inspect_branch
from pachlet.pfs.commits import ancestors, get_commit, inspect_commit
from pachlet.pfs.records import CommitRecord

_REFERENCE = re.compile(r"(?P<base>[^\^~.]*)(?P<steps>(?:[\^~][0-9]{0,9}|\.[0-9]{1,9})*)")
_STEP = re.compile(r"(?P<kind>[\^~.])(?P<count>[0-9]*)")


def resolve_commit(db: Statements, repo: Repo, id: str, branch: str = "") -> CommitRecord:
    """Return the commit that `id` or, if it names none, `branch` means.

    Args:
        id: a commit id, or a branch name, with or without steps from there; or steps alone, counted from `branch`.

    Raises:
        NotFound: no such branch or commit, or too few ancestors.
    """
    found = _REFERENCE.fullmatch(id)
    if found is None:
        raise InvalidArgument(
            f"{id!r} is no commit: an id or a branch, then ^, ^2, ~ or .1 to count from there"
        )
    base, steps = found["base"] or branch, found["steps"]
    if not base:
        raise InvalidArgument("commit must have an id or a branch", hint="write repo@branch or repo@commit")
    if is_commit_id(base):
        record = inspect_commit(db, Commit(repo, base))
    else:
        head = inspect_branch(db, Branch(repo, base)).head
        if head is None:
            raise NotFound(f"branch {repo}@{base} has no head")
        record = get_commit(db, head)
    for step in _STEP.finditer(steps):
        record = _count(db, record, step["kind"], int(step["count"] or 1))
    return record


def _count(db: Statements, record: CommitRecord, kind: str, count: int) -> CommitRecord:
    line = [record, *ancestors(db, record)]
    position = len(line) - count if kind == "." else count
    if not 0 <= position < len(line) or (kind == "." and count < 1):
        raise NotFound(f"commit {record.commit}{kind}{count} not found: it has {len(line) - 1} ancestors")
    return line[position]
