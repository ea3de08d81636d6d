"""Plan a backup: which files, up to where, make up the data directory as it is at one moment.

The database is copied first, in one snapshot, and everything that it refers to was on disk before it: packs
only grow, so their beginnings up to where the index knows chunks are all that the copy needs. The collector
must not run meanwhile. A backup is a data directory itself; what makes it one is the database, which whoever
writes the backup puts in place last.

Read next: restoring.py (the way back), api/storage_service.py (how it is sent).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pachlet.config import DataDir
from pachlet.errors import FailedPrecondition
from pachlet.metadb.connect import Database
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.packs import RECORD_OVERHEAD, pack_path

LINEAGE = "lineage"
"""The setting that names a data directory and the one that it was, up to a restore: packs of the same number
in two backups of one lineage begin with the same bytes."""


@dataclass(frozen=True)
class Part:
    """A file of a backup: where it belongs, where it is now, how much of it counts; `had` if the caller has it."""

    path: str
    source: Path
    size: int
    mode: int
    had: bool


@dataclass(frozen=True)
class Plan:
    """A backup, ready to be sent in this order."""

    lineage: str
    parts: list[Part]


@contextlib.contextmanager
def plan_backup(
    paths: DataDir, database: Database, store: ChunkStore, have: Mapping[str, int], lineage: str
) -> Iterator[Plan]:
    """Give a plan whose files stay as they are until the block ends; `have` is size by path.

    Raises:
        FailedPrecondition: the caller's earlier backup is of another data directory, or a collection is running.
    """
    with database.read() as db:
        ours = db.value("get_setting", key=LINEAGE) or db.value("get_setting", key="cluster_id")
    if lineage and lineage != ours:
        raise FailedPrecondition(
            "what is there already is a backup of another data directory, or of this one before it was restored",
            hint="choose an empty folder",
        )
    with store.upkeep(), tempfile.TemporaryDirectory(dir=paths.scratch, prefix="backup-") as copies:
        copy = Path(copies, paths.database.name)
        database.copy_to(copy)
        # Chunks that were published since the copy do no harm.
        with database.read() as db:
            ends = {row["pack"]: row["end"] + RECORD_OVERHEAD for row in db.all("ends_of_packs")}
        parts = []
        for number, size in ends.items():
            source = pack_path(store.directory, number)
            path = f"{paths.packs.name}/{source.name}"
            parts.append(Part(path, source, size, 0o644, had=have.get(path, 0) >= size))
        parts += _code(paths, have)
        parts.append(Part(paths.database.name, copy, copy.stat().st_size, 0o600, had=False))
        yield Plan(str(ours), parts)


def _code(paths: DataDir, have: Mapping[str, int]) -> Iterator[Part]:
    """Yield the files of code snapshots, which never change."""
    for source in sorted(paths.code.rglob("*")):
        path = source.relative_to(paths.path).as_posix()
        is_being_made = path.split("/")[1].startswith(".")
        if source.is_file() and not source.is_symlink() and not is_being_made:
            status = source.stat()
            yield Part(path, source, status.st_size, status.st_mode & 0o777, had=path in have)
