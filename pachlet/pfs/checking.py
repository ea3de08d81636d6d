"""Check what is stored: the database, the trees of all commits, and every chunk.

Checking changes nothing and never stops at the first fault: each is told in a sentence that names the commit
or the pack, so that the owner knows what to restore. A healthy data directory yields nothing.

Read next: storage/marking.py, docs/storage.md (what can go wrong).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pachlet.errors import Corrupt
from pachlet.metadb.connect import Database, Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Commit, Repo
from pachlet.pfs.index import DatabaseIndex
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.diffs import Diff
from pachlet.storage.entries import decode_key
from pachlet.storage.marking import Marks
from pachlet.storage.packs import Location, pack_path, record_end
from pachlet.storage.removing import pack_size
from pachlet.storage.tree import Tree

_BATCH = 1000


class Checker:
    """Checks one data directory while it is in use."""

    def __init__(self, database: Database, store: ChunkStore) -> None:
        self._database = database
        self._store = store
        self._index = DatabaseIndex(database)

    def check(self) -> Iterator[str]:
        """Yield what is wrong, from the database down to the packs; chunks' bytes are not read."""
        # The collector waits for us, so that what is deleted meanwhile does not look like a loss.
        with self._store.leases.publishing("a check"):
            yield from self._check_database()
            yield from self._check_commits()
            yield from self._check_packs()

    def check_chunks(self, first: bytes, end: bytes | None, *, read: bool) -> int:
        """Look at every chunk with a hash in a range, or read it; return how many there are.

        Raises:
            Corrupt: one is missing or damaged.
        """
        count = 0
        with self._store.leases.publishing("a check of chunks"):
            while True:
                with self._database.read() as db:
                    rows = db.all("chunks_between", first=first, end=end, number=_BATCH)
                if not rows:
                    return count
                for row in rows:
                    if read:
                        self._store.read(row["hash"])
                    else:
                        self._look_at(_location(row))
                count += len(rows)
                first = rows[-1]["hash"] + b"\0"  # the next that there can be

    def check_datums(self, project: str = "", repo: str = "", id: str = "") -> Iterator[str]:
        """Yield the output commits that hold files of datums which their meta commits do not know."""
        with self._store.leases.publishing("a check of datums"):
            with self._database.read() as db:
                rows = db.all("output_commits", project=project, repo=repo, id=id)
            for row in rows:
                try:
                    strangers = self._strangers(row["root"], row["meta_root"])
                except Corrupt as error:
                    yield f"{_name(row)}: {error}"
                    continue
                for datum in strangers:
                    yield f"{_name(row)} has files of datum {datum}, which its meta commit does not know"

    def _check_database(self) -> Iterator[str]:
        with self._database.read() as db:
            yield from (f"the database: {line}" for line in db.faults())
            for row in db.all("heads_elsewhere"):
                yield f"the head of branch {row['project']}/{row['name']}@{row['branch']} is a commit of another repo"
            for row in db.all("parents_elsewhere"):
                yield f"the parent of commit {row['project']}/{row['name']}@{row['id']} is a commit of another repo"

    def _check_commits(self) -> Iterator[str]:
        with self._database.read() as db:
            known = self._known_chunks(db)
            marks = Marks(self._index)
            for row in db.all("finished_trees"):
                try:
                    marks.add_tree(row["root"])
                except Corrupt as error:
                    yield f"{_name(row)}: {error}"
                    marks = Marks(self._index)  # what was marked may be incomplete
            if lost := marks.chunks - known:
                yield from self._name_losses(db, lost)
            for row in db.all("staged_diffs"):
                written = Marks(self._index)
                try:
                    written.add_diff(Diff.decode(row["diff"]))
                except Corrupt as error:
                    yield f"{_name(row)}: {error}"
                if lost := written.chunks - known:
                    yield f"{_name(row)}: {len(lost)} chunks that were written to it are not in the index"

    def _check_packs(self) -> Iterator[str]:
        ends: Counter[int] = Counter()
        lost: Counter[int] = Counter()
        sizes: dict[int, int] = {}
        after = b""
        while True:
            with self._database.read() as db:
                rows = db.all("chunks_after", after=after, number=_BATCH)
            if not rows:
                break
            for location in map(_location, rows):
                if location.pack not in sizes:
                    sizes[location.pack] = pack_size(self._store, location.pack)
                end = record_end(location)
                if end > sizes[location.pack]:
                    sizes[location.pack] = pack_size(self._store, location.pack)  # it may have grown
                ends[location.pack] = max(ends[location.pack], end)
                lost[location.pack] += end > sizes[location.pack]
            after = rows[-1]["hash"]
        for number in sorted(number for number, count in lost.items() if count):
            what = "is missing" if not sizes[number] else f"ends at {sizes[number]}, not at {ends[number]}"
            yield f"pack {pack_path(self._store.directory, number)} {what}: {lost[number]} chunks are lost"

    def _look_at(self, location: Location) -> None:
        if record_end(location) > pack_size(self._store, location.pack):
            path = pack_path(self._store.directory, location.pack)
            raise Corrupt(f"pack {path} is missing or cut short", hint="restore it from a backup")

    def _known_chunks(self, db: Statements) -> set[bytes]:
        known: set[bytes] = set()
        after = b""
        while rows := db.all("chunks_after", after=after, number=_BATCH):
            known.update(row["hash"] for row in rows)
            after = rows[-1]["hash"]
        return known

    def _name_losses(self, db: Statements, lost: set[bytes]) -> Iterator[str]:
        for row in db.all("finished_trees"):
            marks = Marks(self._index)
            try:
                marks.add_tree(row["root"])
            except Corrupt:
                continue  # told already
            if missing := marks.chunks & lost:
                yield f"{_name(row)}: {len(missing)} chunks of its files are not in the index"

    def _strangers(self, root: bytes | None, meta_root: bytes | None) -> list[str]:
        """Return the datums that wrote to a tree and are not in the tree of the meta commit."""
        known = set()
        for key, _ in Tree(self._index, meta_root).scan():
            parts = decode_key(key)[0].split("/")
            if len(parts) > 2 and parts[1] in ("meta", "pfs"):
                known.add(parts[2])
        found = {decode_key(key)[1] for key, _ in Tree(self._index, root).scan()}
        return sorted(found - known)


def _location(row: Row) -> Location:
    return Location(row["pack"], row["offset"], row["stored"], row["length"])


def _name(row: Row) -> str:
    return f"commit {Commit(Repo(row['project'], row['name'], row['type']), row['id'])}"
