"""The part of pfs_v2.API that checks what is stored: Fsck and CheckStorage.

Read next: pachlet/pfs/checking.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.names import commit_name
from pachlet.errors import InvalidArgument
from pachlet.metadb.connect import Database
from pachlet.pfs.checking import Checker
from pachlet.pfs.files import Files

_MOST = 10_000  # are told


class CheckService:
    """Answers the RPCs of pfs_v2.API that look for damage."""

    database: Database
    files: Files

    def Fsck(self, request: Any, context: Context) -> Iterator[Any]:
        # `fix` means nothing, as upstream since 2.11: what is lost can't be made up.
        checker = self._checker()
        for problem in _gathered(checker.check()):
            yield messages.make("pfs_v2.FsckResponse", error=problem)
        if request.WhichOneof("zombie_check") == "zombie_target":
            with self.database.read() as db:
                commit = commit_name(request.zombie_target).resolve(db).commit
            problems = checker.check_datums(commit.repo.project, commit.repo.name, commit.id)
        elif request.zombie_all:
            problems = checker.check_datums()
        else:
            return
        for problem in _gathered(problems):
            yield messages.make("pfs_v2.FsckResponse", error=problem)

    def CheckStorage(self, request: Any, context: Context) -> Any:
        first, end = request.chunk_begin, request.chunk_end or None
        if end is not None and end < first:
            raise InvalidArgument("chunk_end comes before chunk_begin")
        count = self._checker().check_chunks(first, end, read=request.read_chunk_data)
        return messages.make("pfs_v2.CheckStorageResponse", chunk_object_count=count)

    def _checker(self) -> Checker:
        return Checker(self.database, self.files.store)


def _gathered(problems: Iterator[str]) -> list[str]:
    """Return problems that have all been found, so that nothing waits for whoever reads them."""
    found = list(itertools.islice(problems, _MOST))
    if next(problems, None) is not None:
        found.append(f"there are more than {_MOST} faults; these are the first")
    return found
