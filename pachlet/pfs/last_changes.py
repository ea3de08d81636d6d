"""Find the commits that last changed files: who put what is read in a later commit.

A commit shows all files of its branch, also those that came long before it; what it says of its author and source is
true only of what it changed.

Read next: commits.py (what a commit starts from).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pachlet.errors import PachletError
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pfs.records import CommitRecord
from pachlet.storage.entries import decode_key, keys_of
from pachlet.storage.fileset import FileSet
from pachlet.storage.tree import diff

MOST_LOOK_UPS = 100_000
"""So often a file is looked up in a commit: a second or two; what is still open then is not told."""
_WORTH_A_DIFF = 16
"""For more files than these it costs less to go through all that a commit changed; most change little."""


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
        if base is None or before is None:
            return found | dict.fromkeys(left, at)
        changed, cost = _changed(before, content, left)
        spent += cost
        if changed:
            found.update((path, at) for path in left if path in changed)
            left = [path for path in left if path not in changed]
        at, content = base, before
    return found


def _changed(before: FileSet, after: FileSet, paths: Sequence[str]) -> tuple[set[str], int]:
    """Return which of some files differ, and maybe others, and how many were looked at."""
    if before.tree.root == after.tree.root:
        return set(), 1
    if len(paths) > _WORTH_A_DIFF:
        changed = {decode_key(key)[0] for key, _, _ in diff(before.tree, after.tree)}
        return changed, max(1, len(changed))
    pairs = ((path, keys_of(path)) for path in paths)
    differ = {path for path, at in pairs if list(before.tree.scan(*at)) != list(after.tree.scan(*at))}
    return differ, len(paths)
