"""Mark what trees and diffs reach: the nodes they are made of and the chunks of their files.

Everything that asks what is needed goes this way: the collector (what may go), disk usage (whose it is) and
backups. A node is checked against its hash before it is believed, because a damaged one would hide what
lies below it, and somebody might take that for garbage.

Read next: pachlet/pfs/collecting.py, entries.py (how an entry names its chunks).
"""

from __future__ import annotations

from pachlet import errors
from pachlet.storage import hashing
from pachlet.storage.content import chunk_hashes
from pachlet.storage.diffs import Diff
from pachlet.storage.entries import references
from pachlet.storage.nodes import NodeStore, decode


class Marks:
    """Sets of hashes that grow with each tree and diff; what trees share is read once.

    About 100 bytes of memory for each node and chunk.
    """

    def __init__(self, nodes: NodeStore) -> None:
        self._store = nodes
        self.nodes: set[bytes] = set()
        self.chunks: set[bytes] = set()

    def add_tree(self, root: bytes | None) -> None:
        """Mark everything below a root.

        Raises:
            Corrupt: a node is missing or damaged; the marks are incomplete then.
        """
        todo = [root] if root else []
        while todo:
            hash = todo.pop()
            if hash in self.nodes:
                continue
            self.nodes.add(hash)
            node = decode(self._get(hash))
            todo += [ref.hash for ref in node.refs]
            for value in node.values:
                self._add_value(value)

    def add_diff(self, diff: Diff) -> None:
        """Mark the chunks of what was written to an open commit."""
        for _, _, change in diff.changes():
            for content in change.parts:
                self.chunks.update(digest for digest, _ in content.chunks)

    def _add_value(self, value: bytes) -> None:
        hash, listed = references(value)
        if hash is not None:
            if hash in self.nodes:
                return
            self.nodes.add(hash)
            listed = self._get(hash)[1:]
        self.chunks.update(chunk_hashes(listed))

    def _get(self, hash: bytes) -> bytes:
        data = self._store.get_node(hash)
        if hashing.node_hash(data) != hash:
            raise errors.Corrupt(
                f"node {hash.hex()} of a file tree is damaged", hint="restore the database from a backup"
            )
        return data
