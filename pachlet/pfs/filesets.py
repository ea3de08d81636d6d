"""File sets: files that clients keep for a while without a commit, to be added to one, read or cut up.

A file set is a tree, if it was taken from a commit, and layers of changes over it, as an open commit is; composing
file sets is putting their layers on one another. It never changes. It lives as long as it was told to, by the
engine's clock; from then on nobody finds it, and expiring.py deletes it.

For the garbage collector file sets are roots: their trees are in `filesets`, their layers in `staged`. Whoever makes
one refers to what is referred to already, in the same transaction, so nothing of it can be lost in between.

Read next: expiring.py, cache.py, storage/diffs.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pachlet.clock import Clock
from pachlet.errors import NotFound, Refused
from pachlet.ids import new_id
from pachlet.metadb.connect import Database, Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import FILESETS_REPO, USER, Commit, Repo
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pfs.records import AUTO, CommitRecord
from pachlet.pfs.transactions import Transaction, Transactions
from pachlet.pfs.uploads import Upload
from pachlet.storage.entries import decode_key, decode_value
from pachlet.storage.fileset import Diff, FileSet
from pachlet.storage.tree import diff

TTL = 600
"""Seconds that a file set lives if nobody says how long."""
MAX_TTL = 1800
SHARD_FILES = 1_000_000
SHARD_BYTES = 1_000_000_000

_NANOS = 1_000_000_000
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class FileSetRecord:
    """A file set as stored; `root` is that of its tree."""

    key: int
    id: str
    root: bytes | None
    created: int

    @classmethod
    def of(cls, row: Row) -> FileSetRecord:
        """Make a record of a row of `filesets`."""
        return cls(row["key"], row["id"], row["root"], row["created"])


class FileSets:
    """Makes, finds and reads file sets; `made` is called when the time of one is set."""

    def __init__(self, database: Database, transactions: Transactions, files: Files, clock: Clock) -> None:
        self.database = database
        self._transactions = transactions
        self._files = files
        self._clock = clock
        self.made: Callable[[], None] = lambda: None

    def find(self, db: Statements, id: str) -> FileSetRecord:
        """Return the file set with an id; raise NotFound if there is none or its time is over."""
        row = db.first("get_fileset", id=parse_id(id), now=self._clock.now())
        if row is None:
            raise NotFound(
                f"no fileset {id} found", hint="it may have expired; renew a file set while it is in use"
            )
        return FileSetRecord.of(row)

    def create(self, upload: Upload) -> str:
        """Make a file set of what a call wrote; return its id."""
        rows, layer = upload.record_ahead(self.database), upload.diff.encode()
        with self._transactions.start() as txn:
            upload.record_chunks(txn.db, rows)
            return self._add(txn, None, [layer], TTL)

    def take_all(self, name: Callable[[Statements], CommitRecord]) -> str:
        """Make a file set of the files of a commit, as they are now; return its id.

        Raises:
            Refused: the commit is forgotten, or it is open and its base is not finished.
        """
        with self._transactions.start() as txn:
            record = name(txn.db)
            if record.is_forgotten:
                raise Refused("the commit is forgotten")
            if record.finished is not None:
                return self._add(txn, record.root, [], TTL)
            base = commits.finished_base(txn.db, record)
            id = self._add(txn, base.root if base else None, [], TTL)
            txn.db.run("add_layers_of_commit", fileset=self.find(txn.db, id).key, commit=record.key)
            return id

    def take_changes(self, name: Callable[[Statements], CommitRecord]) -> str:
        """Make a file set of what a commit changes; return its id.

        Of a finished commit that is the files that it made, changed (whole) or deleted: how they came to be what they
        are is not kept.
        """
        with self._files.store.leases.publishing("taking the changes of a commit"):
            with self.database.read() as db:
                record = name(db)
                if record.is_forgotten:
                    raise Refused("the commit is forgotten")
                base = commits.content_base(db, record)
            changes = None
            if record.finished is not None:
                before = self._files.open_finished(base.root if base else None)
                changes = _changes(before, self._files.open_finished(record.root)).encode()
            with self._transactions.start() as txn:
                current = name(txn.db)
                if (current.key, current.root) != (record.key, record.root):
                    raise Refused(f"commit {record.commit} was changed meanwhile", hint="try again")
                if changes is not None:
                    return self._add(txn, None, [changes], TTL)
                id = self._add(txn, None, [], TTL)
                txn.db.run("add_layers_of_commit", fileset=self.find(txn.db, id).key, commit=record.key)
                return id

    def renew(self, id: str, ttl: int) -> None:
        """Let a file set live for `ttl` seconds from now."""
        _check_ttl(ttl)
        with self._transactions.start() as txn:
            record = self.find(txn.db, id)
            txn.db.run("renew_fileset", key=record.key, expires=self._clock.now() + ttl * _NANOS)
            txn.db.after_commit(self.made)

    def compose(self, ids: Iterable[str], ttl: int) -> str:
        """Make a file set of file sets, each laid over the one before; return its id. A ttl of 0 is the usual one."""
        _check_ttl(ttl or TTL)
        with self.database.read() as db:
            records = [self.find(db, id) for id in ids]
        # The tree of the first stays a tree; the others' are laid over it file by file.
        below = records[0].root if records else None
        trees = [self._as_layer(each) for each in records[1:]]
        with self._transactions.start() as txn:
            new = self._add(txn, below, [], ttl or TTL)
            target = self.find(txn.db, new).key
            for record, tree in zip(records, [None, *trees], strict=False):
                self.find(txn.db, record.id)  # it may have gone, and what it kept with it
                if tree is not None:
                    txn.db.run("add_layer", fileset=target, diff=tree)
                txn.db.run("add_layers_of_fileset", fileset=target, source=record.key)
            return new

    def add_to_commit(self, id: str, name: Callable[[Statements], CommitRecord]) -> None:
        """Lay a file set over what was written to an open commit."""
        with self.database.read() as db:
            record = self.find(db, id)
        tree = self._as_layer(record)
        with self._transactions.start() as txn:
            record = self.find(txn.db, id)
            commit = name(txn.db)
            if not commit.is_open:
                raise Refused(f"commit {commit.commit} has already finished")
            if tree is not None:
                txn.db.run("add_staged", commit=commit.key, diff=tree)
            txn.db.run("stage_fileset", commit=commit.key, fileset=record.key)

    def shards(self, id: str, files: int, size: int) -> list[tuple[str, str]]:
        """Cut a file set into ranges of paths [from, to) of about so many files or bytes each; "" is no bound.

        What is not above 0 is the usual.
        """
        most_files, most_bytes = files if files > 0 else SHARD_FILES, size if size > 0 else SHARD_BYTES
        with self.database.read() as db:
            found = self.open(db, self.find(db, id))
        cuts, before, count, total = [""], "", 0, 0
        for path, length in found.sizes():
            if path != before and (count >= most_files or total >= most_bytes):
                cuts.append(path)
                count = total = 0
            before, count, total = path, count + 1, total + length
        return list(zip(cuts, [*cuts[1:], ""], strict=True))

    def open(self, db: Statements, record: FileSetRecord) -> FileSet:
        """Return the files of a file set."""
        layers = [row["diff"] for row in db.all("layers_of_fileset", fileset=record.key)]
        return self._files.open_layers(record.root, layers)

    def _as_layer(self, record: FileSetRecord) -> bytes | None:
        """Return the tree of a file set as a layer, None if it has no tree."""
        if record.root is None:
            return None
        layer = Diff()
        for entry in self._files.open_finished(record.root).entries():
            layer.append(entry.path, entry.tag, entry.content)
        return layer.encode()

    def _add(self, txn: Transaction, root: bytes | None, layers: Iterable[bytes], ttl: int) -> str:
        id, now = new_id(), self._clock.now()
        key = txn.db.run("add_fileset", id=id, root=root, now=now, expires=now + ttl * _NANOS)
        for layer in layers:
            txn.db.run("add_layer", fileset=key, diff=layer)
        txn.db.after_commit(self.made)
        return id


def parse_id(text: str) -> str:
    """Return a file set's id as it is stored; upstream's may have dashes, and a checksum behind a dot."""
    token = text.partition(".")[0].replace("-", "")
    if len(token) != 32:
        what = "short" if len(token) < 32 else "long"
        raise Refused(f"parsing fileset.Token: too {what} to be Token len={len(token)}")
    if not _TOKEN.fullmatch(token):
        raise Refused(f"parsing fileset.Token: {token} is no hexadecimal number")
    return token


def as_commit(record: FileSetRecord, project: str) -> CommitRecord:
    """Return the finished commit that a file set is read as; its size is not looked up."""
    return CommitRecord(
        key=0,
        commit=Commit(Repo(project, FILESETS_REPO, USER), record.id),
        repo_key=0,
        branch="",
        parent=None,
        origin=AUTO,
        description="FileSet - Virtual Commit",
        started=record.created,
        finishing=record.created,
        finished=record.created,
        error="",
        root=record.root,
        size=0,
        is_forgotten=False,
        metadata="{}",
    )


def _check_ttl(ttl: int) -> None:
    if ttl < 1:
        raise Refused(f"ttl ({ttl}) must be at least one second")
    if ttl > MAX_TTL:
        raise Refused(f"ttl ({ttl}s) exceeds max ttl ({MAX_TTL}s)")


def _changes(before: FileSet, after: FileSet) -> Diff:
    """Return what makes `after` of `before`."""
    changes = Diff()
    for key, old, new in diff(before.tree, after.tree):
        path, tag = decode_key(key)
        if old is not None:
            changes.delete_file(path, tag)
        if new is not None:
            changes.append(path, tag, decode_value(new, after.tree.nodes))
    return changes
