"""PFS without a server: the rooms below the door, on a folder, for tests of storage and its upkeep."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from pachlet.clock import Clock
from pachlet.metadb.connect import Database
from pachlet.paths import USER, Branch, Repo
from pachlet.pfs import branches, commits
from pachlet.pfs.collecting import SLACK, Collector, Progress, Report
from pachlet.pfs.files import Files
from pachlet.pfs.finishing import Finisher
from pachlet.pfs.index import DatabaseIndex
from pachlet.pfs.purging import Purger, finish_purges, load_tombstones
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.repos import create_repo, delete_repo, ensure_default_project
from pachlet.pfs.transactions import Transactions
from pachlet.pfs.uploads import Upload, write_upload
from pachlet.storage.chunks import PACK_SIZE, ChunkStore

BLOCK = 1 << 20


class Rooms:
    """The rooms of PFS on one data directory; making them again is a restart."""

    def __init__(self, folder: Path, pack_size: int = PACK_SIZE) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(folder / "pachlet.db")
        index = DatabaseIndex(self.database)
        self.store = ChunkStore(
            folder / "packs",
            index,
            pack_size,
            last_pack=index.last_pack(),
            tombstones=load_tombstones(self.database),
        )
        finish_purges(self.database, self.store)
        self.transactions = Transactions(self.database, Clock())
        self.files = Files(self.database, self.store)
        self.collector = Collector(self.database, self.store)
        self.purger = Purger(self.database, self.files, Clock())
        self.finisher = Finisher(self.database, self.transactions, self.store)
        with self.transactions.start() as txn:
            ensure_default_project(txn)
        self.finisher.settle_all()

    def close(self) -> None:
        self.finisher.close()
        self.store.close()
        self.database.close()

    def create_repo(self, name: str) -> None:
        with self.transactions.start() as txn:
            create_repo(txn, repo(name))

    def delete_repo(self, name: str) -> None:
        with self.transactions.start() as txn:
            delete_repo(txn, repo(name), force=True)

    def upload(self, files: Iterable[tuple[str, bytes]] = ()) -> Upload:
        upload = Upload(self.store)
        for path, data in files:
            upload.delete(path)
            upload.add(path, (data[at : at + BLOCK] for at in range(0, len(data), BLOCK)))
        return upload

    def put(self, name: str, files: Iterable[tuple[str, bytes]]) -> CommitRecord:
        """Write files to the head of master while that is open, else as a commit of their own."""
        return self.write(name, self.upload(files))

    def write(self, name: str, upload: Upload) -> CommitRecord:
        """Write an upload to the head of master while that is open, else as a commit of its own."""
        write_upload(self.transactions, upload, repo(name), "", "master")
        return self.head(name)

    def start(self, name: str) -> CommitRecord:
        with self.transactions.start() as txn:
            return commits.start_commit(txn, Branch(repo(name), "master"))

    def finish(self, name: str) -> None:
        with self.transactions.start() as txn:
            commits.finish_commit(txn, self.head(name))

    def head(self, name: str) -> CommitRecord:
        with self.database.read() as db:
            head = branches.inspect_branch(db, Branch(repo(name), "master")).head
            assert head is not None
            return commits.get_commit(db, head)

    def read(self, record: CommitRecord) -> dict[str, bytes]:
        """Return every file of a commit."""
        with self.database.read() as db:
            files = self.files.open_commit(db, commits.get_commit(db, record.key))
        return {entry.path: b"".join(self.files.read(entry.content)) for entry in files.entries()}

    def collect(self, *, dry_run: bool = False, grace: float = 0, slack: float = SLACK) -> Report:
        steps = list(self.collector.collect(dry_run=dry_run, grace=timedelta(seconds=grace), slack=slack))
        assert all(isinstance(step, Progress) for step in steps[:-1])
        report = steps[-1]
        assert isinstance(report, Report)
        return report

    def packs(self) -> int:
        """Return how many bytes the packs take."""
        return sum(path.stat().st_size for path in self.store.directory.iterdir())

    def hashes(self, table: str) -> set[bytes]:
        with self.database.read() as db:
            return {row["hash"] for row in db.all(f"{table}_after", after=b"", number=1_000_000)}


def repo(name: str) -> Repo:
    return Repo("default", name, USER)
