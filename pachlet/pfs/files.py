"""Read the files of a commit, whether it is finished or still open.

A finished commit is a tree; an open one is its base's tree with what was staged since laid over it, in memory.

Read next: uploads.py (how files are written), globbing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pachlet.errors import NotFound, Refused, Unavailable
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import clean_path
from pachlet.pfs import commits
from pachlet.pfs.index import DatabaseIndex, LeasedNodes
from pachlet.pfs.records import CommitRecord
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.content import BLOCK, Content, read_content
from pachlet.storage.fileset import Diff, FileSet, Info, apply_diffs
from pachlet.storage.nodes import MemoryNodes
from pachlet.storage.tree import Tree


class Files:
    """The content side of PFS: file sets of commits, and bytes of files."""

    def __init__(self, database: Database, store: ChunkStore) -> None:
        self.database = database
        self.store = store
        self.index = DatabaseIndex(database)

    def open_finished(self, root: bytes | None) -> FileSet:
        """Return the files of a tree."""
        return FileSet(Tree(self._nodes(), root))

    def open_commit(self, db: Statements, record: CommitRecord) -> FileSet:
        """Return the files of a commit; those of an open one as they are now.

        Raises:
            Unavailable: it is being finished right now; ask again after the next change.
            Refused: it is open and what it is based on is not finished, or it is forgotten.
        """
        if record.is_forgotten:
            raise Refused("the commit is forgotten")
        if record.finished is not None:
            return self.open_finished(record.root)
        if record.finishing is not None:
            raise Unavailable(f"commit {record.commit} is being finished")
        base = commits.finished_base(db, record)
        layers = [row["diff"] for row in db.all("staged_of_commit", commit=record.key)]
        return self.open_layers(base.root if base else None, layers)

    def open_layers(self, root: bytes | None, layers: Iterable[bytes]) -> FileSet:
        """Return the files of a tree with encoded diffs laid over it."""
        diffs = [Diff.decode(layer) for layer in layers]
        return FileSet(apply_diffs(Tree(MemoryNodes(self._nodes()), root), diffs, self.store))

    def _nodes(self) -> LeasedNodes:
        return LeasedNodes(self.index, self.store.leases.reading("a read"))

    def read(
        self, content: Content, offset: int = 0, size: int | None = None, block: int = BLOCK
    ) -> Iterator[bytes]:
        """Yield the bytes of a file, in blocks of at most so many, each checked against its hash."""
        return read_content(self.store, content, offset, size, block)


def inspect_file(files: FileSet, path: str, record: CommitRecord) -> Info:
    """Return a file or directory; raise NotFound with the text that clients match on."""
    info = files.info(clean_path(path))
    if info is None:
        raise NotFound(f"file {path} not found in repo {record.commit.repo} at commit {record.commit.id}")
    return info
