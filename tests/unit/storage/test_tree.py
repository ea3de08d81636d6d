"""Trees: what they cost, and what they refuse."""

from __future__ import annotations

import pytest

from pachlet import errors
from pachlet.storage.nodes import NodeCache, decode
from pachlet.storage.tree import MemoryNodes, Tree, diff

SIZE = (1).to_bytes(8, "big")


class CountingNodes(MemoryNodes):
    """A node store that counts reads."""

    reads = 0

    def get_node(self, hash: bytes) -> bytes:
        self.reads += 1
        return super().get_node(hash)


def big_tree(nodes: MemoryNodes, count: int = 20_000) -> Tree:
    """Return a tree of three levels."""
    pairs = ((f"/dir{n // 1000:02}/file{n:06}".encode(), SIZE + b"%d" % n) for n in range(count))
    return Tree(nodes, None, NodeCache(0)).apply(pairs)


@pytest.fixture(scope="module")
def base() -> tuple[MemoryNodes, Tree]:
    nodes = MemoryNodes()
    return nodes, big_tree(nodes)


def test_the_empty_tree_has_no_root() -> None:
    tree = Tree(MemoryNodes(), None)
    assert tree.apply([]).root is None
    assert tree.apply([(b"/a", SIZE)]).apply([(b"/a", None), (b"/b", None)]).root is None
    assert (tree.get(b"/a"), list(tree.scan()), tree.measure(), tree.digest()) == (None, [], (0, 0), None)
    assert list(diff(tree, tree)) == []


def test_a_change_rewrites_one_node_a_level(base: tuple[MemoryNodes, Tree]) -> None:
    nodes, tree = base
    assert tree.root is not None
    assert tree.load(tree.root).level == 2
    added = MemoryNodes(nodes)
    changed = Tree(added, tree.root, NodeCache(0)).apply([(b"/dir07/file007500", SIZE + b"new")])
    assert len(added.items()) == 3
    assert changed.root != tree.root
    back = Tree(added, changed.root, NodeCache(0)).apply([(b"/dir07/file007500", SIZE + b"7500")])
    assert back.root == tree.root


def test_changing_nothing_keeps_the_root(base: tuple[MemoryNodes, Tree]) -> None:
    _, tree = base
    assert tree.apply([]).root == tree.root
    assert tree.apply([(b"/dir07/file007500", SIZE + b"7500"), (b"/zzz", None)]).root == tree.root


def test_diff_reads_only_what_differs(base: tuple[MemoryNodes, Tree]) -> None:
    nodes, tree = base
    added = CountingNodes(nodes)
    old = Tree(added, tree.root, NodeCache(0))
    new = old.apply([(b"/dir07/file007500", SIZE + b"new")])
    added.reads = 0
    assert list(diff(old, new)) == [(b"/dir07/file007500", SIZE + b"7500", SIZE + b"new")]
    assert added.reads <= 8


def test_measuring_and_hashing_a_directory_reads_only_its_edges(base: tuple[MemoryNodes, Tree]) -> None:
    nodes, tree = base
    counting = CountingNodes(nodes)
    tree = Tree(counting, tree.root, NodeCache(0))
    assert tree.measure(b"/dir03/", b"/dir030") == (1000, 1000)
    assert tree.measure(b"/dir04", b"/dir03") == (0, 0)
    assert counting.reads <= 12
    counting.reads = 0
    assert tree.digest(b"/dir03/", b"/dir17/") is not None
    assert counting.reads <= 6


def test_the_cache_keeps_nodes_within_its_limit(base: tuple[MemoryNodes, Tree]) -> None:
    nodes, tree = base
    counting = CountingNodes(nodes)
    roomy = Tree(counting, tree.root, NodeCache(64 << 20))
    assert len(list(roomy.scan())) == 20_000
    first = counting.reads
    assert len(list(roomy.scan())) == 20_000
    assert counting.reads == first
    tight = Tree(counting, tree.root, NodeCache(100_000))
    list(tight.scan())
    counting.reads = 0
    tight.get(b"/dir19/file019999")
    assert counting.reads < 3
    list(tight.scan())
    assert counting.reads > first // 2


def test_edits_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="ascend"):
        Tree(MemoryNodes(), None).apply([(b"/b", SIZE), (b"/a", SIZE)])
    with pytest.raises(ValueError, match="ascend"):
        Tree(MemoryNodes(), None).apply([(b"/a", SIZE), (b"/a", None)])


def test_a_damaged_or_missing_node_is_reported() -> None:
    nodes = MemoryNodes()
    tree = Tree(nodes, None).apply([(b"/a", SIZE)])
    assert tree.root is not None
    data = nodes.get_node(tree.root)
    nodes.put_nodes([(tree.root, data[:-1] + b"?")])
    with pytest.raises(errors.Corrupt, match="damaged"):
        Tree(nodes, tree.root, NodeCache(0)).get(b"/a")
    with pytest.raises(errors.Corrupt, match="missing"):
        Tree(MemoryNodes(), tree.root, NodeCache(0)).get(b"/a")


def test_an_overlay_leaves_the_store_below_alone(base: tuple[MemoryNodes, Tree]) -> None:
    nodes, tree = base
    before = len(nodes.items())
    view = Tree(MemoryNodes(nodes), tree.root).apply([(b"/aaa", SIZE + b"new")])
    assert view.get(b"/aaa") == SIZE + b"new"
    assert view.get(b"/dir00/file000000") == SIZE + b"0"
    assert len(nodes.items()) == before


@pytest.mark.parametrize("length", [1, 300, 70_000])
def test_keys_and_values_of_any_length_are_kept(length: int) -> None:
    pairs = [(b"/" + b"k" * length, SIZE), (b"/" + b"k" * length + b"\0tag", SIZE + b"v" * length)]
    nodes = MemoryNodes()
    tree = Tree(nodes, None, NodeCache(0)).apply(pairs)
    assert list(tree.scan()) == pairs
    assert all(decode(data).keys for _, data in nodes.items())
