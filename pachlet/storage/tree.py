"""A tree from keys to values, stored as content-addressed nodes (a prolly tree).

Commits of a million files that differ in one share all nodes but a handful, and comparing two trees skips
what they share. The same entries always make the same root, so roots can be compared instead of contents.
Branches carry counts, sizes and digests of what is below, so that a directory of any size is measured in a
few node reads.

Read next: edits.py (how a tree is changed), nodes.py (how nodes are stored), entries.py (what keys and
values are).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pachlet.storage.edits import apply_edits
from pachlet.storage.nodes import (
    MemoryNodes,
    Node,
    NodeCache,
    NodeStore,
    branch_digest,
    leaf_digest,
    value_size,
)

__all__ = ["MemoryNodes", "NodeCache", "NodeStore", "Tree", "diff"]

SHARED_CACHE = NodeCache(64 * 1024 * 1024)
"""Where trees keep decoded nodes if not told otherwise."""


class Tree:
    """An immutable sorted map. The empty tree has no root; every read may raise Corrupt."""

    def __init__(self, nodes: NodeStore, root: bytes | None, cache: NodeCache = SHARED_CACHE) -> None:
        self.nodes = nodes
        self.root = root
        self._cache = cache

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key."""
        node = self.load(self.root) if self.root else None
        while node is not None:
            at = bisect_left(node.keys, key)
            if at == len(node.keys):
                return None
            if not node.level:
                return node.values[at] if node.keys[at] == key else None
            node = self.load(node.refs[at].hash)
        return None

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) for keys from `start` up to but without `stop`, ascending or descending."""
        if self.root is None:
            return
        for leaf in self._leaves(self.root, start, stop, reverse):
            some = _within(leaf, start, stop)
            pairs = zip(leaf.keys[some], leaf.values[some], strict=True)
            yield from reversed(list(pairs)) if reverse else pairs

    def measure(self, start: bytes = b"", stop: bytes | None = None) -> tuple[int, int]:
        """Return the number and the size of the entries from `start` up to but without `stop`."""
        count, size = self._measure_before(stop)
        count_before, size_before = self._measure_before(start)
        return max(0, count - count_before), max(0, size - size_before)

    def digest(self, start: bytes = b"", stop: bytes | None = None) -> bytes | None:
        """Return a digest of the names and values from `start` up to but without `stop`, None if none are.

        Equal for equal entries whatever else the trees hold, and whatever labels the keys carry.
        """
        found = self._digest(self.root, start, stop) if self.root else None
        return found[1] if found else None

    def apply(self, edits: Iterable[tuple[bytes, bytes | None]]) -> Tree:
        """Return the tree with edits (key, new value or None to delete) applied; keys must ascend.

        New nodes go to the node store. The cost is that of the leaves that are touched and the way to them.
        """
        return Tree(self.nodes, apply_edits(self.nodes, self.load, self.root, edits), self._cache)

    def cleared(self) -> Tree:
        """Return the empty tree in the same node store."""
        return Tree(self.nodes, None, self._cache)

    def load(self, hash: bytes) -> Node:
        """Return a node of this tree."""
        return self._cache.load(hash, self.nodes.get_node)

    def _leaves(self, hash: bytes, start: bytes, stop: bytes | None, reverse: bool) -> Iterator[Node]:
        node = self.load(hash)
        if not node.level:
            yield node
            return
        refs = node.refs[_children(node, start, stop)]
        for ref in reversed(refs) if reverse else refs:
            yield from self._leaves(ref.hash, start, stop, reverse)

    def _measure_before(self, key: bytes | None) -> tuple[int, int]:
        """Return number and size of the entries before `key`; of all, if None."""
        count = size = 0
        hash = self.root
        while hash is not None:
            node = self.load(hash)
            at = len(node.keys) if key is None else bisect_left(node.keys, key)
            if not node.level:
                return count + at, size + sum(map(value_size, node.values[:at]))
            count += sum(ref.entries for ref in node.refs[:at])
            size += sum(ref.size for ref in node.refs[:at])
            hash = node.refs[at].hash if at < len(node.refs) else None
        return count, size

    def _digest(self, hash: bytes, start: bytes, stop: bytes | None) -> tuple[bytes, bytes] | None:
        """Return the digest of a node cut down to a range: as the node it is, and as the root it would be.

        The nodes of the range cut out of this tree are the nodes that a tree of just that range has,
        because where a node ends depends on the last key only; but a root over a single node would not be
        there.
        """
        node = self.load(hash)
        if not node.level:
            some = _within(node, start, stop)
            if not node.keys[some]:
                return None
            digest = leaf_digest(node.keys[some], node.values[some])
            return digest, digest
        refs = node.refs[_children(node, start, stop)]
        first = self._digest(refs[0].hash, start, stop if len(refs) == 1 else None) if refs else None
        if first is None:
            return None
        below = [first[0], *(ref.digest for ref in refs[1:])]
        if len(refs) > 1 and stop is not None:
            last = self._digest(refs[-1].hash, b"", stop)
            below[-1:] = [last[0]] if last else []
        digest = branch_digest(node.level, below)
        return digest, digest if len(below) > 1 else first[1]


def diff(
    old: Tree, new: Tree, start: bytes = b"", stop: bytes | None = None
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield (key, old value or None, new value or None) where trees differ; what they share is not read."""
    left, right = _Rest(old, start, stop), _Rest(new, start, stop)
    while left.items or right.items:
        one = left.items[-1] if left.items else None
        other = right.items[-1] if right.items else None
        height = max(one.height if one else 0, other.height if other else 0)
        if height:
            if one and other and one.hash == other.hash:
                del left.items[-1], right.items[-1]
                continue
            # The higher node is opened first, so that both sides come to the nodes that they may share.
            for rest, item in ((left, one), (right, other)):
                if item and item.height == height:
                    rest.open()
        elif other is None or (one is not None and one.key < other.key):
            assert one is not None
            left.items.pop()
            yield one.key, one.value, None
        elif one is None or other.key < one.key:
            right.items.pop()
            yield other.key, None, other.value
        else:
            del left.items[-1], right.items[-1]
            if one.value != other.value:
                yield one.key, one.value, other.value


class _Item(NamedTuple):
    """A part of a tree that is not compared yet: an entry (height 0), or a node and all below it."""

    height: int
    key: bytes
    value: bytes | None
    hash: bytes | None


class _Rest:
    """What is left of one tree in a comparison; the next item is the last of the list."""

    def __init__(self, tree: Tree, start: bytes, stop: bytes | None) -> None:
        self._tree = tree
        self._start = start
        self._stop = stop
        self.items: list[_Item] = []
        if tree.root is not None:
            self.items.append(_Item(tree.load(tree.root).level + 1, b"", None, tree.root))

    def open(self) -> None:
        """Replace the next item, a node, by what is in it."""
        item = self.items.pop()
        assert item.hash is not None
        node = self._tree.load(item.hash)
        if node.level:
            refs = node.refs[_children(node, self._start, self._stop)]
            self.items += [_Item(node.level, b"", None, ref.hash) for ref in reversed(refs)]
        else:
            some = _within(node, self._start, self._stop)
            entries = zip(node.keys[some], node.values[some], strict=True)
            self.items += reversed([_Item(0, key, value, None) for key, value in entries])


def _within(leaf: Node, start: bytes, stop: bytes | None) -> slice:
    """Return which entries of a leaf lie in a range."""
    end = len(leaf.keys) if stop is None else bisect_left(leaf.keys, stop)
    return slice(bisect_left(leaf.keys, start), end)


def _children(branch: Node, start: bytes, stop: bytes | None) -> slice:
    """Return which nodes below a branch may hold keys of a range."""
    first = bisect_left(branch.keys, start)
    end = len(branch.keys) if stop is None else bisect_left(branch.keys, stop) + 1
    return slice(first, end)
