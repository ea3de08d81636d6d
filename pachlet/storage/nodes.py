"""Nodes: the pieces that a tree is stored as, known by their hashes.

A leaf holds entries (key, value); a branch holds, for each node below it, its last key and a `Ref`. Two
conventions, so that a tree can answer for a range of keys without reading it:

- a value begins with the size that it stands for, as 8 bytes, big-endian
- a key may carry a label: what follows its first NUL. The label says who wrote the entry, not what it is, so
  it counts neither for the *digest* of a node nor for where nodes end

A node's hash covers all its bytes, its digest only names and values: a directory whose files were written
again, by other datums but with the same content, keeps its digest.

    leaf    = "L" | length of body u32 | body | labels (one, if all are the same)
    body    = lengths of suffixes | lengths of values | prefix | suffixes of names | values
    branch  = "B" | level u8 | lengths of suffixes | prefix | suffixes of keys | hashes | digests
              | number of entries below, u64 each | sizes, u64 each
    lengths = how many u32 | bytes for each, 1, 2, 4 or 8 | numbers

Numbers are little-endian, `prefix` is what all names (or keys) of the node begin with, after its length as
u32.

Read next: tree.py (what nodes add up to), edits.py (where they end).
"""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, ItemsView, Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

from pachlet import errors
from pachlet.storage import hashing

_U32 = struct.Struct("<I")
_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
_SIZE_BYTES = 8


class Ref(NamedTuple):
    """What a branch knows of a node below it: hash, digest, and the number and size of all entries below."""

    hash: bytes
    digest: bytes
    entries: int
    size: int


class Node(NamedTuple):
    """A decoded node: a leaf (level 0) has values, a branch refs, as many as keys; keys ascend."""

    level: int
    keys: list[bytes]
    values: list[bytes]
    refs: list[Ref]


class NodeStore(Protocol):
    """Where nodes are kept."""

    def get_node(self, hash: bytes) -> bytes:
        """Return a node's bytes; it was put there before. Called from any thread."""

    def put_nodes(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep (hash, bytes) of nodes; some may be there already."""


class MemoryNodes:
    """Nodes in memory, over those of another store, which is only read."""

    def __init__(self, base: NodeStore | None = None) -> None:
        self._base = base
        self._nodes: dict[bytes, bytes] = {}

    def get_node(self, hash: bytes) -> bytes:
        """Return a node, from memory or from the store below."""
        data = self._nodes.get(hash)
        if data is not None:
            return data
        if self._base is None:
            raise errors.Corrupt(f"node {hash.hex()} of a file tree is missing")
        return self._base.get_node(hash)

    def put_nodes(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep nodes in memory."""
        self._nodes.update(nodes)

    def items(self) -> ItemsView[bytes, bytes]:
        """Return (hash, bytes) of the nodes that were put here."""
        return self._nodes.items()


class NodeCache:
    """Decoded nodes, the least recently used dropped first; shared by trees and threads.

    One cache serves any number of stores, since a hash means the same node in all of them.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._nodes: OrderedDict[bytes, tuple[Node, int]] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, hash: bytes, get_node: Callable[[bytes], bytes]) -> Node:
        """Return a decoded node, read with `get_node` and checked where it is not cached."""
        with self._lock:
            found = self._nodes.get(hash)
            if found is not None:
                self._nodes.move_to_end(hash)
                return found[0]
        data = get_node(hash)
        if hashing.node_hash(data) != hash:
            raise errors.Corrupt(f"node {hash.hex()} of a file tree is damaged")
        node = decode(data)
        self._keep(hash, node, 3 * len(data))
        return node

    def _keep(self, hash: bytes, node: Node, cost: int) -> None:
        with self._lock:
            if hash not in self._nodes:
                self._nodes[hash] = (node, cost)
                self._used += cost
            while self._used > self._limit and len(self._nodes) > 1:
                _, (_, dropped) = self._nodes.popitem(last=False)
                self._used -= dropped


def value_size(value: bytes) -> int:
    """Return the size that a value stands for."""
    return int.from_bytes(value[:_SIZE_BYTES], "big")


def encode_leaf(keys: Sequence[bytes], values: Sequence[bytes]) -> tuple[Ref, bytes]:
    """Return a leaf's bytes and the Ref to it."""
    body, labels = _leaf_parts(keys, values)
    data = b"".join((b"L", _U32.pack(len(body)), body, labels))
    size = sum(map(value_size, values))
    return Ref(hashing.node_hash(data), hashing.node_digest(body), len(keys), size), data


def encode_branch(level: int, keys: Sequence[bytes], refs: Sequence[Ref]) -> tuple[Ref, bytes]:
    """Return a branch's bytes and the Ref to it."""
    hashes, digests, counts, sizes = zip(*refs, strict=True)
    head, tail = _strings(keys)
    numbers = struct.pack(f"<{2 * len(refs)}Q", *counts, *sizes)
    data = b"".join((b"B", bytes([level]), head, tail, *hashes, *digests, numbers))
    return Ref(hashing.node_hash(data), branch_digest(level, digests), sum(counts), sum(sizes)), data


def leaf_digest(keys: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return the digest of the leaf that has these entries."""
    return hashing.node_digest(_leaf_parts(keys, values)[0])


def branch_digest(level: int, digests: Iterable[bytes]) -> bytes:
    """Return the digest of the branch over nodes with these digests."""
    return hashing.node_digest(b"".join((b"B", bytes([level]), *digests)))


def decode(data: bytes) -> Node:
    """Return the node that was encoded."""
    return _decode_leaf(data) if data[:1] == b"L" else _decode_branch(data)


def _leaf_parts(keys: Sequence[bytes], values: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return the body and the labels of a leaf."""
    names, labels = [], []
    for key in keys:
        name, nul, label = key.partition(b"\0")
        names.append(name)
        labels.append(nul + label)
    if labels.count(labels[0]) == len(labels):
        del labels[1:]
    head, tail = _strings(names)
    body = b"".join((head, _pack_numbers([len(value) for value in values]), tail, *values))
    return body, b"".join((_pack_numbers([len(label) for label in labels]), *labels))


def _decode_leaf(data: bytes) -> Node:
    labels_at = 1 + _U32.size + _U32.unpack_from(data, 1)[0]
    suffixes, at = _unpack_numbers(data, 1 + _U32.size)
    lengths, at = _unpack_numbers(data, at)
    names, at = _unpack_strings(data, at, suffixes)
    values, _ = _slices(data, at, lengths)
    label_lengths, at = _unpack_numbers(data, labels_at)
    labels, _ = _slices(data, at, label_lengths)
    if len(labels) == 1:
        labels *= len(names)
    return Node(0, [name + label for name, label in zip(names, labels, strict=True)], values, [])


def _decode_branch(data: bytes) -> Node:
    suffixes, at = _unpack_numbers(data, 2)
    keys, at = _unpack_strings(data, at, suffixes)
    count = len(keys)
    digests, at = _slices(data, at, [hashing.SIZE] * (2 * count))
    numbers = struct.unpack_from(f"<{2 * count}Q", data, at)
    refs = map(Ref, digests[:count], digests[count:], numbers[:count], numbers[count:])
    return Node(data[1], keys, [], list(refs))


def _strings(strings: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Return sorted strings as the lengths of their suffixes, and their common prefix with the suffixes."""
    first, last = strings[0], strings[-1]
    shared = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    suffixes = [string[shared:] for string in strings]
    return _pack_numbers([len(suffix) for suffix in suffixes]), b"".join(
        (_U32.pack(shared), first[:shared], *suffixes)
    )


def _unpack_strings(data: bytes, at: int, lengths: Sequence[int]) -> tuple[list[bytes], int]:
    start = at + _U32.size + _U32.unpack_from(data, at)[0]
    prefix = data[at + _U32.size : start]
    suffixes, end = _slices(data, start, lengths)
    return [prefix + suffix for suffix in suffixes], end


def _pack_numbers(numbers: Sequence[int]) -> bytes:
    most = max(numbers)
    width = next(width for width in _WIDTHS if most < 1 << 8 * width)
    return struct.pack(f"<IB{len(numbers)}{_WIDTHS[width]}", len(numbers), width, *numbers)


def _unpack_numbers(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    count, width = struct.unpack_from("<IB", data, at)
    start = at + _U32.size + 1
    return struct.unpack_from(f"<{count}{_WIDTHS[width]}", data, start), start + count * width


def _slices(data: bytes, at: int, lengths: Sequence[int]) -> tuple[list[bytes], int]:
    """Return consecutive pieces of `data` from `at` on, and where they end."""
    ends = list(accumulate(lengths, initial=at))
    return [data[start:end] for start, end in pairwise(ends)], ends[-1]
