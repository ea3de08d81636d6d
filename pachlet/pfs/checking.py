"""Check what is stored: the database, the trees of all commits, and every chunk.

Checking changes nothing and never stops at the first fault: each is told in a sentence that names the pack or the
commit with its files, so that the owner knows what to restore. A healthy data directory yields nothing.

Read next: losses.py (whose the damage is), storage/marking.py, docs/storage.md (what can go wrong).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import islice

from pachlet.errors import Corrupt
from pachlet.metadb.connect import Database, Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs.index import PUT_AGAIN, DatabaseIndex, location_of
from pachlet.pfs.losses import commit_name, name_losses
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.entries import decode_key
from pachlet.storage.marking import Marks
from pachlet.storage.packs import Location, pack_path, record_end
from pachlet.storage.removing import pack_size
from pachlet.storage.together import read_together
from pachlet.storage.tree import Tree

_BATCH = 1000
_SMALL = 16 << 10  # a batch of such chunks is in memory at a time
_MOST_TOLD = 20


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
            yield from self.check_database()
            packs = dict(self._check_packs())
            yield from packs
            nodes, chunks = self.find_losses(set().union(*packs.values()))
            yield from name_losses(self._database, nodes, chunks)

    def find_losses(self, cut_off: Set[bytes] = frozenset()) -> tuple[dict[bytes, str], dict[bytes, str]]:
        """Return the damaged nodes of trees and the chunks that commits lack, each with what is wrong.

        What was purged is not lost, unless it was put again since.
        `cut_off` are chunks that the index knows and no pack holds.
        """
        with self._store.leases.publishing("a check"), self._database.read() as db:
            known = self._known_chunks(db)
            purged = {
                bytes.fromhex(row["hash"])
                for row in db.all("purged_chunks")
                if row["value"].split()[-1] != PUT_AGAIN
            }
            marks = self._mark(db)
        lost = dict.fromkeys(marks.chunks - known - purged, "the index does not know the chunk")
        lost |= dict.fromkeys(marks.chunks & cut_off, "the pack that holds it is missing or cut short")
        return marks.damaged, lost

    def check_chunks(self, first: bytes, end: bytes | None, *, read: bool) -> int:
        """Look at every chunk with a hash in a range, or read it; return how many there are.

        Raises:
            Corrupt: some are missing or damaged; it names the files that have lost them.
        """
        with self._store.leases.publishing("a check of chunks"):
            damaged: dict[bytes, str] = {}
            count = self.find_damaged_chunks(damaged, first, end, read=read)
            if damaged:
                raise self._say_lost(damaged)
        return count

    def find_damaged_chunks(
        self,
        damaged: dict[bytes, str],
        first: bytes = b"",
        end: bytes | None = None,
        *,
        read: bool,
        report: Callable[[int], None] = lambda count: None,
    ) -> int:
        """Look at every chunk, or read it; add to `damaged` what is wrong with which, return how many there are."""
        count = 0
        while True:
            with self._database.read() as db:
                rows = db.all("chunks_between", first=first, end=end, number=_BATCH)
            if not rows:
                return count
            intact = self._intact(rows) if read else set()
            for row in rows:
                if row["hash"] in intact:
                    continue
                try:
                    if read:
                        self._store.read(row["hash"])
                    else:
                        self._look_at(location_of(row))
                except Corrupt as error:
                    damaged[row["hash"]] = error.message
            count += len(rows)
            report(count)
            first = rows[-1]["hash"] + b"\0"  # the next that there can be

    def _intact(self, rows: Iterable[Row]) -> Set[bytes]:
        """Return the small chunks that are where the rows say, and as they were; the others are to be looked for."""
        small = {
            row["hash"]: place
            for row in rows
            if row["length"] <= _SMALL and not self._store.is_damaged(row["hash"], place := location_of(row))
        }
        return read_together(self._store, small).keys()

    def _say_lost(self, damaged: dict[bytes, str]) -> Corrupt:
        whose = list(islice(name_losses(self._database, {}, damaged), _MOST_TOLD))
        what = f"{len(damaged)} chunks are damaged" if len(damaged) > 1 else next(iter(damaged.values()))
        told = "; ".join(whose) or "no commit needs what is damaged"
        return Corrupt(f"{what}: {told}", hint="put these files again, or restore them from a backup")

    def check_datums(self, project: str = "", repo: str = "", id: str = "") -> Iterator[str]:
        """Yield the output commits that hold files of datums which their meta commits do not know."""
        with self._store.leases.publishing("a check of datums"):
            with self._database.read() as db:
                rows = db.all("output_commits", project=project, repo=repo, id=id)
            for row in rows:
                try:
                    strangers = self._strangers(row["root"], row["meta_root"])
                except Corrupt as error:
                    yield f"{commit_name(row)}: {error}"
                    continue
                for datum in strangers:
                    yield f"{commit_name(row)} has files of datum {datum}, which its meta commit does not know"

    def check_database(self) -> Iterator[str]:
        """Yield what is wrong with the database as such."""
        with self._database.read() as db:
            yield from (f"the database: {line}" for line in db.faults())
            for row in db.all("heads_elsewhere"):
                yield f"the head of branch {row['project']}/{row['name']}@{row['branch']} is a commit of another repo"
            for row in db.all("parents_elsewhere"):
                yield f"the parent of commit {row['project']}/{row['name']}@{row['id']} is a commit of another repo"

    def _mark(self, db: Statements) -> Marks:
        """Return what all commits need, finished or not."""
        marks = Marks(self._index)
        for row in db.all("finished_trees"):
            marks.add_tree(row["root"])
        for row in db.all("staged_diffs"):
            with contextlib.suppress(Corrupt):  # told when losses are named
                marks.add_diff(row["diff"])
        return marks

    def _check_packs(self) -> Iterator[tuple[str, set[bytes]]]:
        """Yield what is wrong with each pack that is, and the chunks that it lacks."""
        ends: Counter[int] = Counter()
        lost: dict[int, set[bytes]] = {}
        sizes: dict[int, int] = {}
        after = b""
        while True:
            with self._database.read() as db:
                rows = db.all("chunks_after", after=after, number=_BATCH)
            if not rows:
                break
            for row in rows:
                location = location_of(row)
                if location.pack not in sizes:
                    sizes[location.pack] = pack_size(self._store, location.pack)
                end = record_end(location)
                if end > sizes[location.pack]:
                    sizes[location.pack] = pack_size(self._store, location.pack)  # it may have grown
                ends[location.pack] = max(ends[location.pack], end)
                if end > sizes[location.pack]:
                    lost.setdefault(location.pack, set()).add(row["hash"])
            after = rows[-1]["hash"]
        for number in sorted(lost):
            # A collection may have moved some just before it removed the pack.
            lost[number] = {hash for hash in lost[number] if self._lies_in(hash, number)}
            if not lost[number]:
                continue
            what = "is missing" if not sizes[number] else f"ends at {sizes[number]}, not at {ends[number]}"
            path = pack_path(self._store.directory, number)
            yield f"pack {path} {what}: {len(lost[number])} chunks are lost", lost[number]

    def _lies_in(self, hash: bytes, pack: int) -> bool:
        found = self._index.find_chunk(hash)
        return found is not None and found.pack == pack

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

    def _strangers(self, root: bytes | None, meta_root: bytes | None) -> list[str]:
        """Return the datums that wrote to a tree and are not in the tree of the meta commit."""
        known = set()
        for key, _ in Tree(self._index, meta_root).scan():
            parts = decode_key(key)[0].split("/")
            if len(parts) > 2 and parts[1] in ("meta", "pfs"):
                known.add(parts[2])
        found = {decode_key(key)[1] for key, _ in Tree(self._index, root).scan()}
        return sorted(found - known)
