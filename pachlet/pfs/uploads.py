"""Write files: collect what one call writes, then stage it in an open commit or make a commit of it.

Bytes go to the chunk store as they come; nothing refers to them before the call ends, so a call that breaks off leaves
no trace but space that garbage collection gets back.

Read next: finishing.py (how staged changes become a tree).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pachlet.errors import Corrupt, InvalidArgument, Purged, Refused
from pachlet.ids import is_commit_id
from pachlet.metadb.connect import Database
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Branch, Repo, check_file_path, clean_path
from pachlet.pfs import branches, commits
from pachlet.pfs.files import Files
from pachlet.pfs.index import publish_ahead, record_put
from pachlet.pfs.marks import NOBODY, Mark
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.repos import inspect_repo
from pachlet.pfs.resolving import resolve_commit
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.storage.chunks import ChunkRow, ChunkStore
from pachlet.storage.content import ONE_CHUNK, Content, write_content, write_content_like, write_small
from pachlet.storage.diffs import leave_out_idle
from pachlet.storage.fileset import Diff, FileSet
from pachlet.storage.hashing import Bytes
from pachlet.storage.source import Source

DEFAULT_TAG = "default"

_LARGE = 4 << 20
"""A file that is as large as this is worth a look at what was there before."""


class Upload:
    """What one call writes, in order."""

    def __init__(self, store: ChunkStore) -> None:
        self._writer = store.writer()
        self.diff = Diff()
        self._on_base: tuple[int, Diff] | None = None
        self._prepared: tuple[Sequence[ChunkRow], Diff, bytes] | None = None
        self._store = store
        self._before: Callable[[str], Content | None] = lambda path: None

    def add(self, path: str, blocks: Iterable[bytes], tag: str = "") -> None:
        """Append bytes to a file; no bytes at all create it empty."""
        path, tag = _place(path, tag)
        self.diff.append(path, tag, self._write(path, blocks))

    def replace(self, path: str, blocks: Iterable[bytes], tag: str = "") -> None:
        """Make a file have these bytes and no others."""
        path, tag = _place(path, tag)
        self.diff.replace_file(path, tag, self._write(path, blocks))

    def put_small(self, path: str, data: bytes, *, replaces: bool, tag: str = "") -> None:
        """Append at most `ONE_CHUNK` bytes to a file, or make it have these and no others."""
        path, tag = _place(path, tag)
        write = self.diff.replace_file if replaces else self.diff.append
        write(path, tag, self._write_small(path, data))

    def _write_small(self, path: str, data: Bytes) -> Content:
        try:
            return write_small(self._writer, data)
        except Purged as error:
            raise self._named(error, path) from None

    def _named(self, error: Purged, path: str = "") -> Purged:
        """Name the file whose bytes may not be stored, which may be any before the one that is being added."""
        for before, _, change in self.diff.changes():
            chunks = (hash for part in change.parts for hash, _ in part.chunks)
            # A copy may refer to what was purged; it puts nothing.
            if any(self._store.tombstones.forbid(hash) and self._writer.has_put(hash) for hash in chunks):
                path = before
                break
        return Purged(f"{path}: {error.message}" if path else error.message, hint=error.hint)

    def _write(self, path: str, blocks: Iterable[bytes]) -> Content:
        source = Source(blocks)
        if not source.has(ONE_CHUNK + 1):
            return self._write_small(path, source.take(ONE_CHUNK))
        before = self._before(path) if source.has(_LARGE) else None
        try:
            if before is None:
                return write_content(self._writer, source)
            return write_content_like(self._store, self._writer, source, before)
        except Purged as error:
            raise self._named(error, path) from None

    def delete(self, path: str, tag: str = "") -> None:
        """Delete a file or, where the path ends with a slash, everything below it."""
        check_file_path(path)  # so a path that somebody forgot to fill in is not the root
        if path.endswith("/"):
            self.diff.delete_tree(clean_path(path).rstrip("/") + "/")
        else:
            self.diff.delete_file(clean_path(path), tag or DEFAULT_TAG)

    def copy(self, files: FileSet, source: str, target: str, *, append: bool, tag: str = "") -> None:
        """Copy a file or a whole directory of another commit, by reference; nothing there is nothing copied."""
        check_file_path(target)
        source, target = clean_path(source), clean_path(target)
        below = "/" if source == "/" else source + "/"
        found = [(target, entry) for entry in files.file(source)]
        for entry in files.entries(below):
            found.append((f"{target.rstrip('/')}/{entry.path[len(below) :]}", entry))
        replaced: set[str] = set()
        for path, entry in found:
            check_file_path(path)
            self._writer.lean_on(digest for digest, _ in entry.content.chunks)
            if not append and path not in replaced:
                self.diff.delete_file(path, tag or DEFAULT_TAG)
                replaced.add(path)
            self.diff.append(path, tag or DEFAULT_TAG, entry.content)

    def look_up_in(self, files: Files, repo: Repo, id: str, branch: str) -> None:
        """Have large files compared with those at the same paths of the commit that this is written on."""
        with files.database.read() as db:
            base = _base(db, find_target(db, repo, id, branch))

        def before(path: str) -> Content | None:
            try:  # opened for each, so that no collection waits for a long upload
                found = files.open_finished(base.root).file(path) if base is not None else []
            except Corrupt:  # damaged, or deleted meanwhile
                return None
            return found[0].content if len(found) == 1 and len(found[0].content.chunks) > 1 else None

        self._before = before

    def seal(self) -> list[ChunkRow]:
        """Make its bytes durable; return the rows to publish with what refers to them, while this lives."""
        try:
            return self._writer.seal()
        except Purged as error:
            raise self._named(error) from None

    def compare_with_head(self, files: Files, repo: Repo, id: str, branch: str) -> None:
        """Find out what of it changes anything in the head that a commit of its own would be based on."""
        with files.database.read() as db:
            target = find_target(db, repo, id, branch)
            base = _base(db, target) if target.branch is not None else None
            if base is None:
                return
            tree = files.open_finished(base.root).tree
        self._on_base = base.key, leave_out_idle(self.diff, tree)

    def prepare(self, database: Database) -> None:
        """Do what can be done before the transaction in which all other writers wait; nothing may be added after it."""
        rows = self.record_ahead(database)
        diff = self.diff if self._on_base is None else self._on_base[1]
        self._prepared = rows, diff, diff.encode()

    def record_ahead(self, database: Database) -> Sequence[ChunkRow]:
        """Make its bytes durable and record its chunks, if there are many; return the rows still to record.

        Raises:
            Purged: bytes of it were purged meanwhile.
        """
        rows = self.seal()
        try:
            return publish_ahead(database, rows)
        except Purged as error:
            raise self._named(error) from None

    def record_chunks(self, db: Statements, rows: Sequence[ChunkRow]) -> None:
        """Record the chunks of which that was not done ahead, in the transaction that publishes what refers to them.

        Raises:
            Purged: bytes of it were purged meanwhile.
        """
        try:
            record_put(db, rows, [self._writer])
        except Purged as error:
            raise self._named(error) from None

    def forget(self) -> None:
        """Let go of what has been staged, which may be as large as all else in memory; the chunks stay held."""
        self.diff, self._on_base, self._prepared = Diff(), None, None

    def stage(self, txn: Transaction, record: CommitRecord) -> Diff:
        """Write it to an open commit, in the caller's transaction; return what was written."""
        diff = self.diff
        if self._on_base is not None:
            base = commits.content_base(txn.db, record)
            if base is not None and base.key == self._on_base[0]:
                diff = self._on_base[1]
        rows, prepared, encoded = self._prepared or (self.seal(), None, b"")
        self.record_chunks(txn.db, rows)
        txn.db.run("add_staged", commit=record.key, diff=encoded if diff is prepared else diff.encode())
        return diff


def _place(path: str, tag: str) -> tuple[str, str]:
    """Return path and tag as a diff has them."""
    check_file_path(path)
    cleaned = clean_path(path)
    if cleaned == "/" or path.endswith("/"):
        raise InvalidArgument(f"path ({path}) is a directory; name the file that the bytes are for")
    return cleaned, tag or DEFAULT_TAG


@dataclass(frozen=True)
class Target:
    """Where a call writes: into an open commit, or into a new one on a branch."""

    commit: CommitRecord | None
    branch: Branch | None


def find_target(db: Statements, repo: Repo, id: str, branch: str) -> Target:
    """Decide where a call writes.

    A commit id means that commit, which must be open. A branch means its head while that is open; otherwise, and where
    there is no such branch yet, a new commit of its own that is finished with the call.
    """
    inspect_repo(db, repo)
    if id and (is_commit_id(id) or not id.replace("-", "").replace("_", "").isalnum()):
        record = resolve_commit(db, repo, id, branch)
        if not record.is_open:
            raise Refused(
                f"commit {record.commit} has already finished", hint="start a commit, or write to a branch"
            )
        return Target(record, None)
    name = Branch(repo, id or branch)
    branches.check_branch_name(name.name)
    found = branches.find_branch(db, name)
    if found is not None and found.head is not None:
        head = commits.get_commit(db, found.head)
        if head.is_open:
            return Target(head, None)
    return Target(None, name)


def _base(db: Statements, target: Target) -> CommitRecord | None:
    """Return the finished commit that a target is, or will be, based on, if there is one."""
    if target.commit is not None:
        base = commits.content_base(db, target.commit)
    else:
        found = branches.find_branch(db, target.branch) if target.branch is not None else None
        if found is None or found.head is None:
            return None
        head = commits.get_commit(db, found.head)
        base = commits.content_base(db, head) if head.error else head
    return base if base is not None and base.finished is not None else None


def write_upload(
    transactions: Transactions, upload: Upload, repo: Repo, id: str, branch: str, mark: Mark = NOBODY
) -> str:
    """Make an upload part of its target, whose id is returned; a commit made for it is there in full or not at all."""
    upload.prepare(transactions.database)
    with transactions.start() as txn:
        txn.mark = mark
        record = place_upload(txn, upload, repo, id, branch)
    return record.commit.id


def place_upload(txn: Transaction, upload: Upload, repo: Repo, id: str, branch: str) -> CommitRecord:
    """Make an upload part of its target, in the caller's transaction; return the commit."""
    target = find_target(txn.db, repo, id, branch)
    record = target.commit
    if record is not None:
        upload.stage(txn, record)
    else:
        assert target.branch is not None, "a target is one of both"
        record = commits.start_commit(txn, target.branch)
        txn.staged[record.key] = upload.stage(txn, record)
        txn.db.after_commit(upload.forget)  # so that it is in memory once while the commit is settled
        commits.start_finishing(txn, record)
    return record
