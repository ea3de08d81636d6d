"""Find the commits that last changed files: who put what is read in a later commit.

A commit shows all files of its branch, also those that came long before it; what it says of its author and source is
true only of what it changed.

Read next: commits.py (what a commit starts from).
"""

from __future__ import annotations

from collections.abc import Iterable

from pachlet.errors import PachletError
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pfs.records import CommitRecord
from pachlet.storage.entries import keys_of
from pachlet.storage.fileset import FileSet

MOST_LOOK_UPS = 100_000
"""So often a file is looked up in a commit: a second or two; what is still open then is not told."""


def last_changes(
    db: Statements, files: Files, record: CommitRecord, paths: Iterable[str]
) -> dict[str, CommitRecord]:
    """Return the nearest commit, going back from one, that changed each file.

    What is left out is not known: the way back leads through a forgotten commit, or is too long.
    """
    found: dict[str, CommitRecord] = {}
    left, spent = list(dict.fromkeys(paths)), 0
    at, content = record, files.open_commit(db, record)
    while left and spent < MOST_LOOK_UPS:
        base = commits.content_base(db, at)
        try:
            before = files.open_commit(db, base) if base is not None else None
        except PachletError:  # it is forgotten
            return found
        same = [path for path in left if before is not None and _is_same(before, content, path)]
        if len(same) < len(left):
            found.update((path, at) for path in set(left).difference(same))
        if base is None or before is None:
            return found
        spent += len(left)
        left, at, content = same, base, before
    return found


def _is_same(before: FileSet, after: FileSet, path: str) -> bool:
    if before.tree.root == after.tree.root:
        return True
    return list(before.tree.scan(*keys_of(path))) == list(after.tree.scan(*keys_of(path)))
