"""The rules of trees: they equal a sorted dict, and their shape follows from their entries alone."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from pachlet.storage import edits as editing
from pachlet.storage.nodes import NodeCache
from pachlet.storage.tree import MemoryNodes, Tree, diff

Model = dict[bytes, bytes]


def value(number: int) -> bytes:
    """Return a value of some size."""
    return (number % 7).to_bytes(8, "big") + str(number).encode()


# Many entries a node, as in earnest, or few, for trees of many levels.
fan_outs = st.sampled_from([7, 2, 1])

# Few names end a node, so entries come in stretches of consecutive numbers, some of them with labels.
stretches = st.tuples(
    st.integers(0, 6000), st.integers(0, 700), st.integers(1, 30), st.sampled_from(["", "\0x", "\0y"])
)
edits = st.lists(st.tuples(stretches, st.none() | st.integers(0, 50)), max_size=4)


def expand(batch: list[tuple[tuple[int, int, int, str], int | None]]) -> dict[bytes, bytes | None]:
    """Return the edits that a batch stands for."""
    changes: dict[bytes, bytes | None] = {}
    for (start, length, step, label), number in batch:
        for at in range(start, start + length * step, step):
            changes[f"/{at:05}{label}".encode()] = None if number is None else value(number)
    return changes


def build(model: Model, nodes: MemoryNodes | None = None) -> Tree:
    """Return the tree of a dict, made at once."""
    return Tree(nodes or MemoryNodes(), None, NodeCache(1 << 20)).apply(sorted(model.items()))


def update(model: Model, changes: dict[bytes, bytes | None]) -> Model:
    """Return a dict with edits applied."""
    return {key: item for key, item in {**model, **changes}.items() if item is not None}


def cut(model: Model, start: bytes, stop: bytes | None) -> Model:
    """Return the part of a dict that lies in a range."""
    return {key: item for key, item in model.items() if key >= start and (stop is None or key < stop)}


ranges = st.tuples(st.integers(0, 9000), st.none() | st.integers(0, 9000)).map(
    lambda pair: (f"/{pair[0]:05}".encode(), None if pair[1] is None else f"/{pair[1]:05}".encode())
)


@given(st.lists(edits, min_size=1, max_size=5), ranges, fan_outs)
def test_a_tree_is_a_sorted_dict_whose_root_forgets_history(
    batches: list, span: tuple[bytes, bytes | None], bits: int
) -> None:
    with patch.object(editing, "FAN_OUT_BITS", bits):
        check_tree(batches, span)


def check_tree(batches: list, span: tuple[bytes, bytes | None]) -> None:
    """Apply batches of edits to a tree and to a dict, and compare them."""
    model: Model = {}
    tree = Tree(MemoryNodes(), None, NodeCache(1 << 20))
    for batch in batches:
        changes = expand(batch)
        model = update(model, changes)
        tree = tree.apply(sorted(changes.items()))
    assert tree.root == build(model).root
    assert (tree.root is None) == (not model)
    assert list(tree.scan()) == sorted(model.items())
    start, stop = span
    inside = cut(model, start, stop)
    assert list(tree.scan(start, stop)) == sorted(inside.items())
    assert list(tree.scan(start, stop, reverse=True)) == sorted(inside.items(), reverse=True)
    assert tree.measure(start, stop) == (
        len(inside),
        sum(int.from_bytes(item[:8], "big") for item in inside.values()),
    )
    for key in [*list(model)[:20], b"", b"/", b"/00003", b"/99999"]:
        assert tree.get(key) == model.get(key)
    for kept in (3, 1, 0):  # a tree that shrinks loses its upper levels
        few = dict(sorted(model.items())[:kept])
        gone: list[tuple[bytes, bytes | None]] = [(key, None) for key in sorted(model) if key not in few]
        assert tree.apply(gone).root == build(few).root


@given(edits, edits, ranges, fan_outs)
def test_the_digest_of_a_range_is_that_of_a_tree_of_just_that_range(
    batch: list, more: list, span: tuple[bytes, bytes | None], bits: int
) -> None:
    with patch.object(editing, "FAN_OUT_BITS", bits):
        check_digest(batch, more, span)


def check_digest(batch: list, more: list, span: tuple[bytes, bytes | None]) -> None:
    """Compare the digest of a range with that of a tree of its own."""
    model = update(update({}, expand(batch)), expand(more))
    start, stop = span
    inside = cut(model, start, stop)
    digest = build(model).digest(start, stop)
    assert digest == build(inside).digest()
    assert (digest is None) == (not inside)
    # Labels say who wrote an entry, not what it is.
    relabelled = {key.partition(b"\0")[0] + b"\0other": item for key, item in inside.items()}
    if len(relabelled) == len(inside):
        assert build(relabelled).digest() == digest
    if inside:
        first = min(inside)
        assert build({**model, first: inside[first] + b"!"}).digest(start, stop) != digest


@given(edits, edits, ranges, fan_outs)
def test_diff_is_what_differs(batch: list, more: list, span: tuple[bytes, bytes | None], bits: int) -> None:
    with patch.object(editing, "FAN_OUT_BITS", bits):
        check_diff(batch, more, span)


def check_diff(batch: list, more: list, span: tuple[bytes, bytes | None]) -> None:
    """Compare a diff with that of two dicts."""
    nodes = MemoryNodes()
    before = update({}, expand(batch))
    after = update(before, expand(more))
    old, new = build(before, nodes), build(after, nodes)
    start, stop = span
    keys = sorted(cut(before, start, stop).keys() | cut(after, start, stop).keys())
    expected = [(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]
    found = list(diff(old, new, start, stop))
    assert found == expected
    assert all(one[0] < two[0] for one, two in pairwise(found))
