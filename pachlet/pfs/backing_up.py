"""Plan a backup: which files, up to where, make up the data directory as it is at one moment.

The database is copied first, in one snapshot, and everything that it refers to was on disk before it: packs
only grow, so their beginnings up to where the index knows chunks are all that the copy needs. The collector
must not run meanwhile. A backup is a data directory itself; what makes it one is the database, which whoever
writes the backup puts in place last.

What is damaged here is sent as it is, because most of a pack may be whole, and told: every chunk is checked in a pack
that is sent, and every tree.

Read next: losses.py, restoring.py (the way back), api/storage_service.py (how it is sent).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pachlet.config import DataDir
from pachlet.errors import Corrupt, FailedPrecondition
from pachlet.metadb.connect import Database
from pachlet.pfs.checking import Checker
from pachlet.pfs.index import location_of
from pachlet.pfs.losses import name_losses
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.packs import RECORD_OVERHEAD, pack_path
from pachlet.storage.removing import pack_size

LINEAGE = "lineage"
"""The setting that names a data directory and the one that it was, up to a restore: packs of the same number
in two backups of one lineage begin with the same bytes."""


@dataclass(frozen=True)
class Part:
    """A file of a backup: where it belongs, where it is now, how much of it counts; `had` if the caller has it.

    `pack` is the number of one that is a pack.
    """

    path: str
    source: Path
    size: int
    mode: int
    had: bool
    pack: int | None = None


class Plan:
    """A backup, ready to be sent in this order; each pack is to be checked before it is."""

    def __init__(self, lineage: str, parts: list[Part], database: Database, store: ChunkStore) -> None:
        self.lineage = lineage
        self.parts = parts
        self._database = database
        self._store = store
        self._faults: list[str] = []
        self._damaged: dict[bytes, str] = {}

    def check(self, part: Part) -> None:
        """Look for damage in a file that is about to be sent."""
        if part.pack is not None and not self._store.is_sound(part.pack, part.size):
            self.look_through(part.pack)

    def look_through(self, pack: int) -> None:
        """Note which chunks of a pack can't be read."""
        with self._database.read() as db:
            rows = db.all("chunks_of_pack", pack=pack)
        for row in rows:
            try:
                self._store.read_at(row["hash"], location_of(row))
            except Corrupt as error:
                self._damaged[row["hash"]] = error.message

    def faults(self) -> list[str]:
        """Return what of the backup is damaged; to be asked when all has been sent."""
        checker = Checker(self._database, self._store)
        nodes, chunks = checker.find_losses()
        faults = [*self._faults, *name_losses(self._database, nodes, chunks | self._damaged)]
        if self._damaged and not faults:
            faults.append(f"{len(self._damaged)} chunks are damaged; no commit needs them")
        return faults

    def lack(self, fault: str) -> None:
        """Note what can't be sent."""
        self._faults.append(fault)


@contextlib.contextmanager
def plan_backup(
    paths: DataDir, database: Database, store: ChunkStore, have: Mapping[str, int], lineage: str
) -> Iterator[Plan]:
    """Give a plan whose files stay as they are until the block ends; `have` is size by path.

    Raises:
        FailedPrecondition: the caller's earlier backup is of another data directory, or a collection is running.
    """
    with database.read() as db:
        lineage_here = db.value("get_setting", key=LINEAGE) or db.value("get_setting", key="cluster_id")
    if lineage and lineage != lineage_here:
        raise FailedPrecondition(
            "what is there already is a backup of another data directory, or of this one before it was restored or"
            " had something purged",
            hint="choose an empty folder; what was purged is in the old backups until you delete them",
        )
    with store.upkeep(), tempfile.TemporaryDirectory(dir=paths.scratch, prefix="backup-") as copies:
        copy = Path(copies, paths.database.name)
        is_whole = database.copy_to(copy)
        # Chunks that were published since the copy do no harm.
        with database.read() as db:
            ends = {row["pack"]: row["end"] + RECORD_OVERHEAD for row in db.all("ends_of_packs")}
        plan = Plan(str(lineage_here), [], database, store)
        if not is_whole:
            plan.lack(
                "the database is damaged, and what could be read of it may not open: see `pachctl fsck`"
            )
        for number, size in ends.items():
            source = pack_path(store.directory, number)
            path = f"{paths.packs.name}/{source.name}"
            ours, theirs = min(size, pack_size(store, number)), have.get(path, 0)
            had = theirs >= size or theirs > ours
            if had or ours:
                plan.parts.append(Part(path, source, max(ours, theirs) if had else ours, 0o644, had, number))
            if max(ours, theirs) < size:
                plan.look_through(number)
        plan.parts += _code(paths, have)
        plan.parts.append(Part(paths.database.name, copy, copy.stat().st_size, 0o600, had=False))
        yield plan


def _code(paths: DataDir, have: Mapping[str, int]) -> Iterator[Part]:
    """Yield the files of code snapshots, which never change."""
    for source in sorted(paths.code.rglob("*")):
        path = source.relative_to(paths.path).as_posix()
        is_being_made = path.split("/")[1].startswith(".")
        if source.is_file() and not source.is_symlink() and not is_being_made:
            status = source.stat()
            yield Part(path, source, status.st_size, status.st_mode & 0o777, had=path in have)
