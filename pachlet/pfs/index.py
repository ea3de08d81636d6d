"""Give the storage room its indexes out of the one database.

Storage does not know of databases: it asks for the location of a chunk and for the nodes of a tree. The rows it hands
back are written in the same transaction as the commit that refers to them.

Read next: finishing.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pachlet.errors import Corrupt, Purged
from pachlet.metadb.connect import Database, Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.storage.chunks import ChunkRow, ChunkWriter
from pachlet.storage.leases import Lease
from pachlet.storage.packs import Location

PURGED_CHUNK = "purged/"
LIFTED, PUT_AGAIN = "lifted", "again"
_FEW_ROWS = 4000  # are written in some ten milliseconds
_FEW_HASHES = 256  # are looked up with one query


class DatabaseIndex:
    """Where chunks lie (storage's ChunkIndex) and what nodes hold (its NodeStore, to read only)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_chunk(self, hash: bytes) -> Location | None:
        """Return where a chunk lies, or None."""
        row = self._database.look_up("find_chunk", hash=hash)
        return location_of(row) if row else None

    def find_chunks(self, hashes: Iterable[bytes]) -> dict[bytes, Location]:
        """Return where chunks lie, by hash; those that are not there are left out."""
        rows = self._database.look_up_all("find_chunks", hashes=b"".join(hashes))
        return {hash: Location(*place) for hash, *place in rows}

    def last_pack(self) -> int:
        """Return the highest number of a pack that chunks are said to lie in; 0 if there are none."""
        with self._database.read() as db:
            return db.value("last_pack") or 0

    def get_node(self, hash: bytes) -> bytes:
        """Return a node of a file tree."""
        row = self._database.look_up("get_node", hash=hash)
        if row is None:
            raise Corrupt(f"{self._database.path} lacks node {hash.hex()} of a file tree")
        data: bytes = row["data"]
        return data

    def put_nodes(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse: nodes are written with the commit that they belong to, by `add_nodes`."""
        raise TypeError("nodes are written in the transaction of their commit")


class LeasedNodes:
    """Nodes for one reader, whom the garbage collector waits for while this lives."""

    def __init__(self, index: DatabaseIndex, lease: Lease) -> None:
        self._index = index
        self._lease = lease

    def get_node(self, hash: bytes) -> bytes:
        """Return a node of a file tree."""
        return self._index.get_node(hash)

    def put_nodes(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        """Refuse, as the index does."""
        self._index.put_nodes(nodes)


def location_of(row: Row) -> Location:
    """Return where the index says that a chunk lies."""
    return Location(row["pack"], row["offset"], row["stored"], row["length"])


def add_chunks(db: Statements, rows: Sequence[ChunkRow]) -> None:
    """Record where new chunks lie, and where those do that were written anew because they were lost.

    Raises:
        Purged: one of them was purged since its bytes were put.
    """
    if rows and db.value("has_purged_chunks"):
        _look_for_purged(db, rows)
    db.many("add_chunk", [(r.hash, *r.location, *(r.replaces or (None, None))[:2]) for r in rows])


def _look_for_purged(db: Statements, rows: Sequence[ChunkRow]) -> None:
    """Note what is put again after a purge was lifted: from here on its loss is one.

    Raise for an upload that began before a purge: the store itself refuses those that come after it.
    """
    for row in rows:
        purge = db.value("purge_of_chunk", key=chunk_key(row.hash))
        if purge is not None and " " in purge:
            db.run("put_setting", key=chunk_key(row.hash), value=f"{purge.split()[0]} {PUT_AGAIN}")
        elif purge is not None:
            raise _purged_meanwhile(purge)


def record_put(db: Statements, rows: Sequence[ChunkRow], writers: Iterable[ChunkWriter]) -> None:
    """Record the chunks of writers that are not recorded yet, in the transaction that publishes what refers to them.

    Raises:
        Purged: one that was put has been purged since.
    """
    add_chunks(db, rows)
    for each in writers:
        _refuse_purged(db, each.put_so_far())


def _refuse_purged(db: Statements, put: Sequence[bytes]) -> None:
    """Look whether chunks that were put are still there, as all of them are recorded now.

    A purge takes no notice of who has found a chunk, or recorded it ahead: nobody would know that its bytes are gone.
    """
    if not put or not db.value("has_purged_chunks"):
        return
    for start in range(0, len(put), _FEW_HASHES):
        some = put[start : start + _FEW_HASHES]
        there = {row["hash"] for row in db.all("find_chunks", hashes=b"".join(some))}
        for hash in some:
            purge = None if hash in there else db.value("purge_of_chunk", key=chunk_key(hash))
            if purge is not None:
                raise _purged_meanwhile(purge.split()[0])


def _purged_meanwhile(purge: str) -> Purged:
    return Purged(
        f"bytes of this file were purged while they were being put (purge {purge})",
        hint="`pachlet purge --list` says who did it and why",
    )


def chunk_key(hash: bytes) -> str:
    """Return the setting that tells of a purged chunk; its value is the purge's id, with a word behind it if that was
    lifted: LIFTED, or PUT_AGAIN once the chunk is stored anew."""
    return f"{PURGED_CHUNK}{hash.hex()}"


def publish_ahead(database: Database, rows: Sequence[ChunkRow]) -> Sequence[ChunkRow]:
    """Record where many chunks lie, some at a time, so that others write in between; return the rows still to record.

    What refers to them is published later. Until then the collector spares them for their writer's sake, and after a
    kill they are garbage. Neighbours by hash are neighbours in the index, so each time few of its pages are written.
    """
    if len(rows) <= _FEW_ROWS:
        return rows
    rows = sorted(rows)
    for start in range(0, len(rows), _FEW_ROWS):
        with database.write() as db:
            add_chunks(db, rows[start : start + _FEW_ROWS])
    return ()


def add_nodes(db: Statements, nodes: Iterable[tuple[bytes, bytes]]) -> None:
    """Record new nodes of file trees."""
    db.many("add_node", nodes)
