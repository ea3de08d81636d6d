"""Change a tree: apply sorted edits, rewriting only the nodes that they touch.

Where a node ends is decided by the hash of its last key alone. So the same entries make the same nodes,
whatever edits led to them, and commits that hold the same share them. A level is edited like the one below
it: rewriting leaves yields edits (last key, new Ref or None) to the branches over them, and so on up to the
root.

Read next: tree.py (the tree's other half, reading).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from pachlet.storage import hashing
from pachlet.storage.nodes import Node, NodeStore, Ref, encode_branch, encode_leaf

Load = Callable[[bytes], Node]
Item = TypeVar("Item")

FAN_OUT_BITS = 7
"""128 entries a node on average: measured best of 32, 128 and 512 for commits and diffs."""

_BUFFERED = 256


def apply_edits(
    nodes: NodeStore, load: Load, root: bytes | None, edits: Iterable[tuple[bytes, bytes | None]]
) -> bytes | None:
    """Apply edits (key, new value or None to delete), ascending by key, and return the new root."""
    output = _Output(nodes)
    old = load(root) if root else None
    leaves = _Level(0, output.put_leaf, lambda node: node.values, old, load)
    changes = leaves.rewrite(_ascending(edits))
    height = old.level if old else 0
    for level in range(1, height + 1):
        changes = _branches(level, output, old, load).rewrite(changes)
    # The old root, alone on its level, is among what changed if anything did.
    changed = dict(changes)
    if not changed:
        return root
    top = [(key, ref) for key, ref in changed.items() if ref is not None]
    while len(top) > 1:
        height += 1
        top = [(key, ref) for key, ref in _branches(height, output, None, load).rewrite(iter(top)) if ref]
    output.flush()
    return _lowest(load, top[0][1].hash) if top else None


def _lowest(load: Load, root: bytes) -> bytes:
    """Return the root without branches that hold one node only."""
    node = load(root)
    while node.level and len(node.refs) == 1:
        root = node.refs[0].hash
        node = load(root)
    return root


def _branches(level: int, output: _Output, old: Node | None, load: Load) -> _Level[Ref]:
    def put(keys: list[bytes], refs: list[Ref]) -> Ref:
        return output.put_branch(level, keys, refs)

    return _Level(level, put, lambda node: node.refs, old, load)


def _ascending(edits: Iterable[tuple[bytes, bytes | None]]) -> Iterator[tuple[bytes, bytes | None]]:
    before: bytes | None = None
    for key, value in edits:
        if before is not None and key <= before:
            raise ValueError(f"edits must ascend: {key!r} comes after {before!r}")
        before = key
        yield key, value


class _Output:
    """New nodes on their way to the store."""

    def __init__(self, nodes: NodeStore) -> None:
        self._nodes = nodes
        self._buffer: list[tuple[bytes, bytes]] = []

    def put_leaf(self, keys: list[bytes], values: list[bytes]) -> Ref:
        return self._put(*encode_leaf(keys, values))

    def put_branch(self, level: int, keys: list[bytes], refs: list[Ref]) -> Ref:
        return self._put(*encode_branch(level, keys, refs))

    def flush(self) -> None:
        self._nodes.put_nodes(self._buffer)
        self._buffer = []

    def _put(self, ref: Ref, data: bytes) -> Ref:
        self._buffer.append((ref.hash, data))
        if len(self._buffer) >= _BUFFERED:
            self.flush()
        return ref


class _Level(Generic[Item]):
    """One level of the tree under `root` (None: there is nothing yet on this level)."""

    def __init__(
        self,
        level: int,
        put: Callable[[list[bytes], list[Item]], Ref],
        items_of: Callable[[Node], list[Item]],
        root: Node | None,
        load: Load,
    ) -> None:
        self._level = level
        self._put = put
        self._items_of = items_of
        self._root = root
        self._load = load
        self._keys: list[bytes] = []  # of the node that is being filled
        self._items: list[Item] = []

    def rewrite(self, edits: Iterator[tuple[bytes, Item | None]]) -> Iterator[tuple[bytes, Ref | None]]:
        """Apply edits to the nodes of this level and yield those that follow for the level above."""
        head = next(edits, None)
        while head is not None:
            # A run of nodes that are rewritten together: from the first that an edit touches to where a new
            # node ends with an old one.
            changed: dict[bytes, Ref | None] = {}
            node, is_last = self._find(head[0])
            while True:
                last = node.keys[-1] if node.keys else b""
                if node.keys:
                    changed.setdefault(last, None)
                head = self._merge(node, is_last, head, edits, changed)
                if is_last or not self._keys:
                    break
                node, is_last = self._find(last + b"\0")
            self._close(changed)
            yield from sorted(changed.items())

    def _merge(
        self,
        node: Node,
        is_last: bool,
        head: tuple[bytes, Item | None] | None,
        edits: Iterator[tuple[bytes, Item | None]],
        changed: dict[bytes, Ref | None],
    ) -> tuple[bytes, Item | None] | None:
        """Lay the edits that belong into `node` over it, closing nodes at ends; return the next edit."""
        keys, items, at = node.keys, self._items_of(node), 0
        while head is not None and (is_last or head[0] <= keys[-1]):
            key, item = head
            until = bisect_left(keys, key, at)
            self._copy(keys, items, at, until, changed)
            at = until + (until < len(keys) and keys[until] == key)
            if item is not None:
                self._keys.append(key)
                self._items.append(item)
                self._close_at_end(changed)
            head = next(edits, None)
        self._copy(keys, items, at, len(keys), changed)
        return head

    def _copy(
        self, keys: list[bytes], items: list[Item], at: int, until: int, changed: dict[bytes, Ref | None]
    ) -> None:
        if at < until:
            self._keys += keys[at:until]
            self._items += items[at:until]
            if until == len(keys):  # no other key of an old node can be one that ends a node
                self._close_at_end(changed)

    def _close_at_end(self, changed: dict[bytes, Ref | None]) -> None:
        name = self._keys[-1].partition(b"\0")[0]
        if hashing.boundary_level(name, FAN_OUT_BITS) > self._level:
            self._close(changed)

    def _close(self, changed: dict[bytes, Ref | None]) -> None:
        if self._keys:
            changed[self._keys[-1]] = self._put(self._keys, self._items)
            self._keys, self._items = [], []

    def _find(self, key: bytes) -> tuple[Node, bool]:
        """Return the node that `key` belongs into and whether it is the last of this level."""
        node = self._root
        if node is None:
            return Node(self._level, [], [], []), True
        last = node.keys[-1]
        while node.level > self._level:
            at = min(bisect_left(node.keys, key), len(node.keys) - 1)
            node = self._load(node.refs[at].hash)
        return node, node.keys[-1] == last
