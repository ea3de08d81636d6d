"""The part of pfs_v2.API that searches, walks and rewrites history.

Read next: pachlet/pfs/squashing.py, pickers.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachlet.api import messages
from pachlet.api.file_service import FileService
from pachlet.api.handlers import Context
from pachlet.api.lacking import NOT_ACTIVATED, lacking
from pachlet.api.names import commit_name
from pachlet.api.pickers import pick_branch, pick_commit
from pachlet.errors import Refused, Unavailable, Unimplemented
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import clean_path
from pachlet.pfs import branches, commits, squashing
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transaction

_MOST_FOUND = 10_000
_DEEPEST = 1000
_SHARE_OF_TIME = (
    0.85  # of a caller's deadline, so that the answer to a search that is cut short still arrives
)


class HistoryService(FileService):
    """Answers the RPCs of pfs_v2.API that search, walk and rewrite history."""

    # What rewrites it.

    def squash_commit_set(self, txn: Transaction, request: Any) -> None:
        """Do what SquashCommitSet asks for."""
        if not request.HasField("commit_set"):
            raise Refused("commitset cannot be nil")
        squashing.squash_commit_set(txn, request.commit_set.id)

    def DropCommitSet(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            squashing.drop_commit_set(txn, request.commit_set.id)
        return messages.empty()

    def SquashCommit(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            record = commit_name(request.commit).resolve(txn.db)
            squashing.squash_commit(txn, record, is_recursive=request.recursive)
        return messages.make("pfs_v2.SquashCommitResponse")

    def DropCommit(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            record = commit_name(request.commit).resolve(txn.db)
            squashing.drop_commit(txn, record, is_recursive=request.recursive)
        return messages.make("pfs_v2.DropCommitResponse")

    def ClearCommit(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            squashing.clear_commit(txn, commit_name(request.commit).resolve(txn.db))
        return messages.empty()

    def ForgetCommit(self, request: Any, context: Context) -> Any:
        with self.transactions.start() as txn:
            record = pick_commit(txn.db, request.commit)
            try:
                squashing.forget_commit(txn, record)
            except Refused as error:
                raise Refused(f"Forget Commit: {error}", hint=error.hint) from None
        return messages.make("pfs_v2.ForgetCommitResponse")

    # What searches it.

    def FindCommits(self, request: Any, context: Context) -> Iterator[Any]:
        path = clean_path(request.file_path)
        with self.database.read() as db:
            record = commit_name(request.start).resolve(db)
        left = context.time_remaining()
        enough = left * (1 - _SHARE_OF_TIME) if left else 0.0
        searched = found = 0
        while True:
            with self.database.read() as db:
                is_there = self._modifies(db, record, path)
                parent = commits.get_commit(db, record.parent) if record.parent is not None else None
            if is_there:
                found += 1
                yield _found(searched, found_commit=messages.commit_of(record))
            searched += 1
            is_late = bool(left) and (context.time_remaining() or 0.0) < enough
            if parent is None or found == request.limit > 0 or is_late:
                break
            record = parent
        yield _found(searched, last_searched_commit=messages.commit_of(record))

    def _modifies(self, db: Statements, record: CommitRecord, path: str) -> bool:
        """Tell whether a commit made, changed or deleted the file at a path."""
        if record.finished is None:
            raise Unavailable(f"commit {record.commit} not finished", hint="pachctl wait commit")
        base = commits.content_base(db, record)
        before = self.files.open_commit(db, base).file(path) if base else []
        return self.files.open_commit(db, record).file(path) != before

    # What walks it.

    def WalkCommitProvenance(self, request: Any, context: Context) -> Iterator[Any]:
        return self._walk_commits("walk_commit_provenance", request)

    def WalkCommitSubvenance(self, request: Any, context: Context) -> Iterator[Any]:
        return self._walk_commits("walk_commit_subvenance", request)

    def WalkBranchProvenance(self, request: Any, context: Context) -> Iterator[Any]:
        return self._walk_branches("walk_branch_provenance", request)

    def WalkBranchSubvenance(self, request: Any, context: Context) -> Iterator[Any]:
        return self._walk_branches("walk_branch_subvenance", request)

    def _walk_commits(self, statement: str, request: Any) -> Iterator[Any]:
        infos = []
        with self.database.read() as db:
            for picker in request.start:
                limits = _limits(request.max_depth, request.max_commits)
                rows = db.all(statement, key=pick_commit(db, picker).key, **limits)
                infos += [messages.commit_info(db, commits.get_commit(db, row["key"])) for row in rows]
        yield from infos

    def _walk_branches(self, statement: str, request: Any) -> Iterator[Any]:
        infos = []
        with self.database.read() as db:
            for picker in request.start:
                limits = _limits(request.max_depth, request.max_branches)
                rows = db.all(statement, key=pick_branch(db, picker).key, **limits)
                infos += [messages.branch_info(db, branches.get_branch(db, row["key"])) for row in rows]
        yield from infos

    # What there is not.

    @lacking(NOT_ACTIVATED)
    def ActivateAuth(self, request: Any, context: Context) -> Any:
        raise Unimplemented("the auth service is not activated")


def _limits(depth: int, number: int) -> dict[str, int]:
    return {"depth": min(depth or _DEEPEST, _DEEPEST), "number": min(number or _MOST_FOUND, 2**62)}


def _found(searched: int, **result: Any) -> Any:
    return messages.make("pfs_v2.FindCommitsResponse", commits_searched=searched, **result)
