"""Mark what trees and diffs reach: the nodes they are made of and the chunks of their files.

Everything that asks what is needed goes this way: the collector (what may go), disk usage (whose it is) and
checks. A node is checked against its hash before it is believed. One that is damaged does not end the marking:
it is remembered, and so is whatever its bytes still name. Nobody can tell which of them are wrong, so each hash
in them that stands for something is taken for a reference; better too much is kept than too little.

Read next: pachlet/pfs/collecting.py, entries.py (how an entry names its chunks).
"""

from __future__ import annotations

from typing import Protocol

from pachlet import errors
from pachlet.storage import hashing
from pachlet.storage.content import chunk_hashes
from pachlet.storage.diffs import Diff
from pachlet.storage.entries import references
from pachlet.storage.nodes import decode
from pachlet.storage.packs import Location


class Index(Protocol):
    """Where nodes and chunks are looked up."""

    def get_node(self, hash: bytes) -> bytes:
        """Return a node's bytes; raise Corrupt if it is not there."""

    def find_chunk(self, hash: bytes) -> Location | None:
        """Return where a chunk lies, None if it is not there."""


class Marks:
    """Sets of hashes that grow with each tree and diff; what trees share is read once.

    About 100 bytes of memory for each node and chunk. `damaged` says of each node that can't be read why.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._todo: list[bytes] = []
        self.nodes: set[bytes] = set()
        self.chunks: set[bytes] = set()
        self.damaged: dict[bytes, str] = {}

    def add_tree(self, root: bytes | None) -> None:
        """Mark everything below a root."""
        self.want_tree(root)
        self.work()

    def want_tree(self, root: bytes | None) -> None:
        """Have `work` mark everything below a root."""
        if root is not None:
            self._todo.append(root)

    def work(self, most: int | None = None) -> bool:
        """Mark what is wanted, reading at most so many nodes; tell whether nothing is left to do."""
        while self._todo and most != 0:
            hash = self._todo.pop()
            if hash not in self.nodes:
                self.nodes.add(hash)
                self._mark_below(hash)
                most = None if most is None else most - 1
        return not self._todo

    def add_diff(self, data: bytes) -> None:
        """Mark the chunks of what was written to an open commit (an encoded diff).

        Raises:
            Corrupt: it is damaged; what it still names is marked.
        """
        try:
            diff = Diff.decode(data)
        except errors.Corrupt:
            self._scan(data)
            raise
        for _, _, change in diff.changes():
            for content in change.parts:
                self.chunks.update(digest for digest, _ in content.chunks)

    def _mark_below(self, hash: bytes) -> None:
        data = self._get(hash)
        if data is not None:
            node = decode(data)
            self._todo += [ref.hash for ref in node.refs]
            for value in node.values:
                self._add_value(value)

    def _add_value(self, value: bytes) -> None:
        hash, listed = references(value)
        if hash is not None:
            if hash in self.nodes:
                return
            self.nodes.add(hash)
            listed = (self._get(hash) or b"")[1:]
        self.chunks.update(chunk_hashes(listed))

    def _get(self, hash: bytes) -> bytes | None:
        """Return a node, None if it is damaged."""
        try:
            data = self._index.get_node(hash)
        except errors.Corrupt as error:
            self.damaged[hash] = error.message
            return None
        if hashing.node_hash(data) == hash:
            return data
        self.damaged[hash] = f"node {hash.hex()} of a file tree is damaged"
        self._scan(data)
        return None

    def _scan(self, data: bytes) -> None:
        """Take every hash of something that is there for a reference to it."""
        for at in range(len(data) - hashing.SIZE + 1):
            hash = data[at : at + hashing.SIZE]
            if hash not in self.chunks and self._index.find_chunk(hash) is not None:
                self.chunks.add(hash)
            elif hash not in self.nodes and self._is_node(hash):
                self._todo.append(hash)

    def _is_node(self, hash: bytes) -> bool:
        try:
            self._index.get_node(hash)
        except errors.Corrupt:
            return False
        return True
