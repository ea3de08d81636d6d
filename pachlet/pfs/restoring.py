"""Restore a backup into a new data directory, and check every byte of it before it gets its name.

The files are copied to a folder beside the target, checked there, and renamed in one step: a restore that is
broken off leaves nothing that could be taken for a data directory. Where the backup is damaged, all that is whole is
restored, and the rest is told by commit and file. The index forgets chunks that are damaged, so that files which have
lost them are healed by putting them again.

Read next: backing_up.py, checking.py, losses.py.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pachlet.config import DataDir
from pachlet.errors import FailedPrecondition, NotFound, Unavailable
from pachlet.ids import new_id
from pachlet.metadb.connect import Database
from pachlet.pfs.backing_up import LINEAGE
from pachlet.pfs.checking import Checker
from pachlet.pfs.index import DatabaseIndex
from pachlet.pfs.losses import name_losses
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.packs import sync_directory

_BLOCK = 4 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Restored(NamedTuple):
    """What came back: how many chunks were checked, and what of the backup is damaged."""

    chunks: int
    faults: list[str]


def restore(source: Path, target: Path, report: Callable[[str, int, int], None]) -> Restored:
    """Make the data directory `target` of the backup `source`, as far as that is whole.

    `report` gets a step, how far it is and its total. The target must not exist, or be empty.

    Raises:
        NotFound: `source` holds no whole backup.
        FailedPrecondition: the target holds something, the source is a data directory, or the backup is of a newer
            format.
        Unavailable: a file can't be read or written.
        Corrupt: the backup's database can't be opened. Nothing is left of the restore.
    """
    backup = DataDir(source)
    try:
        _refuse_others(backup, target)
    except OSError as error:
        raise Unavailable(f"cannot read {error.filename}: {error.strerror}", hint="see whose it is") from None
    folder = target.with_name(target.name + ".restoring")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        _copy(backup, folder, report)
        restored = _check(DataDir(folder), report)
        restored.faults[:] = [each.replace(str(folder), str(source)) for each in restored.faults]
        if target.exists():
            target.rmdir()
        folder.rename(target)
        sync_directory(target.absolute().parent)
    except OSError as error:
        raise Unavailable(
            f"can't restore to {target}: {error.strerror}{f' ({error.filename})' if error.filename else ''}",
            hint="look at the disk's space"
            if error.errno in _FULL
            else "see whose the folders and files are",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return restored


def _refuse_others(backup: DataDir, target: Path) -> None:
    """Read nothing but a backup: what a data directory has in its write-ahead log would be missing in the copy."""
    if not backup.database.is_file():
        raise NotFound(
            f"{backup.path} holds no whole backup",
            hint="a backup has a pachlet.db; one that was broken off can be taken again into the same folder",
        )
    log = backup.database.with_name(backup.database.name + "-wal")
    if backup.lock.exists() or (log.exists() and log.stat().st_size):
        raise FailedPrecondition(
            f"{backup.path} is a data directory, not a backup",
            hint="serve it as it is, or take a backup of it with `pachlet backup`",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FailedPrecondition(f"{target} is there already", hint="choose a folder that is empty or new")


def _copy(backup: DataDir, folder: Path, report: Callable[[str, int, int], None]) -> None:
    files = [backup.database, *sorted(backup.packs.glob("*.pack"))]
    files += [path for path in sorted(backup.code.rglob("*")) if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    done = 0
    folders = {folder}
    for path in files:
        copy = folder / path.relative_to(backup.path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        folders.update(parent for parent in copy.parents if parent.is_relative_to(folder))
        with path.open("rb") as source, copy.open("xb") as out:
            while block := source.read(_BLOCK):
                out.write(block)
                done += len(block)
                report("copying", done, total)
            out.flush()
            os.fsync(out.fileno())
        copy.chmod(path.stat().st_mode & 0o777)
    for each in folders:
        sync_directory(each)


def _check(paths: DataDir, report: Callable[[str, int, int], None]) -> Restored:
    """Check a copied data directory, give it a lineage of its own and forget the chunks that are damaged."""
    database = Database(paths.database)
    try:
        store = ChunkStore(paths.packs, DatabaseIndex(database))
        try:
            checker = Checker(database, store)
            report("checking the database and trees", 0, 0)
            faults = list(checker.check_database())
            nodes, lost = checker.find_losses()
            with database.read() as db:
                total = db.value("count_chunks")
            damaged: dict[bytes, str] = {}
            count = checker.find_damaged_chunks(
                damaged, read=True, report=lambda done: report("checking chunks", done, total)
            )
            faults += name_losses(database, nodes, lost | damaged)
        finally:
            store.close()
        with database.write() as db:
            db.many("delete_chunk", [(hash,) for hash in damaged])
            db.run("put_setting", key=LINEAGE, value=new_id())
    finally:
        database.close()
    return Restored(count - len(damaged), faults)
