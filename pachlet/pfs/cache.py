"""The cache: values that clients leave under keys of their own, and the file sets that these speak of.

The first value of a key stays until it is cleared or, when there are more than `MOST`, the one that was not asked for
the longest makes room. A file set that a value speaks of does not expire.

Read next: filesets.py.
"""

from __future__ import annotations

from collections.abc import Iterable

from pachlet.errors import NotFound
from pachlet.metadb.connect import Database
from pachlet.pfs.filesets import FileSets
from pachlet.pfs.transactions import Transactions

MOST = 10_000


class Cache:
    """Values by key."""

    def __init__(self, database: Database, transactions: Transactions, filesets: FileSets) -> None:
        self._database = database
        self._transactions = transactions
        self._filesets = filesets

    def put(self, key: str, value: bytes, filesets: Iterable[str], tag: str) -> None:
        """Remember a value, unless the key has one already; raise NotFound for a file set that is not there."""
        with self._transactions.start() as txn:
            keep = [self._filesets.find(txn.db, id).key for id in filesets]
            if txn.db.value("get_cache", key=key) is not None:
                return
            txn.db.run("put_cache", key=key, value=value, tag=tag, now=txn.now)
            for each in keep:
                txn.db.run("cache_fileset", key=key, fileset=each)
            txn.db.run("trim_cache", most=MOST)
            txn.db.after_commit(self._filesets.made)

    def get(self, key: str) -> bytes:
        """Return the value of a key; raise NotFound."""
        with self._transactions.start() as txn:
            value: bytes | None = txn.db.value("get_cache", key=key)
            if value is None:
                raise NotFound(f"the cache has no value for key {key!r}")
            txn.db.run("touch_cache", key=key, now=txn.now)
        return value

    def clear(self, tag_prefix: str) -> None:
        """Forget every value whose tag begins so."""
        with self._transactions.start() as txn:
            txn.db.run("clear_cache", prefix=tag_prefix)
            txn.db.after_commit(self._filesets.made)
