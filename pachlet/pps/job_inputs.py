"""The commits that a job reads, and what a glob matches in them.

Read next: planning.py, datum_folder.py (what a step sees of them).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pachlet.errors import NotFound
from pachlet.globs import Glob
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Repo
from pachlet.pfs import commits
from pachlet.pfs.branches import inspect_branch
from pachlet.pfs.files import Files
from pachlet.pfs.globbing import glob_files
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.repos import inspect_repo
from pachlet.pps.datums import FileMatch
from pachlet.pps.inputs import Input, PfsInput
from pachlet.storage.fileset import FileSet


class JobInputs:
    """The commits that the inputs of a job are read from, and the files in them.

    With `may_lack` there is no job yet, and an input without a commit has no files.
    """

    def __init__(
        self, files: Files, input_commits: Iterable[CommitRecord], *, may_lack: bool = False
    ) -> None:
        self._commits = {each.commit.repo: each for each in input_commits}
        self._may_lack = may_lack
        self._files = files
        self._open: dict[Repo, FileSet] = {}

    def commit(self, repo: Repo) -> CommitRecord:
        """Return the commit of a repo that the job reads; raise NotFound."""
        found = self._commits.get(repo)
        if found is None:
            raise NotFound(f"the job has no commit of its input {repo}: the repo or branch was deleted")
        return found

    def commit_id(self, repo: Repo) -> str:
        """Return the id of that commit."""
        return self.commit(repo).commit.id

    def files(self, repo: Repo) -> FileSet:
        """Return the files of that commit, which is finished."""
        if repo not in self._open:
            is_lacking = self._may_lack and repo not in self._commits
            self._open[repo] = self._files.open_finished(None if is_lacking else self.commit(repo).root)
        return self._open[repo]

    def match(self, leaf: PfsInput, glob: Glob) -> Iterator[FileMatch]:
        """Yield what an input's glob matches."""
        for info in glob_files(self.files(leaf.repo), leaf.glob):
            yield FileMatch(info.path, info.is_dir, info.hash, info.size)


def heads_of(db: Statements, tree: Input) -> list[CommitRecord]:
    """Return the finished commits that an input would be read from now, one of each branch; raise NotFound."""
    found = []
    for branch in tree.branches():
        inspect_repo(db, branch.repo)  # of the two that may be missing it is the one to be told
        head = inspect_branch(db, branch).head
        line = [commits.get_commit(db, head)] if head else []
        line += commits.ancestors(db, line[0]) if line else []
        found += [each for each in line if each.finished is not None and not each.error][:1]
    return found
