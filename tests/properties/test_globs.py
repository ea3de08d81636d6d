"""Globs against a slow reference that follows the definition, and the two matchers against each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import assume, example, given
from hypothesis import strategies as st

from pachlet.errors import Refused
from pachlet.globs import Glob
from pachlet.globs.glob import regex_matcher
from pachlet.globs.machine import machine_matcher
from pachlet.globs.pattern import ANYTHING, NOT_SLASH, Chars, Group, Node, Parser, Star, Text
from pachlet.pfs.globbing import glob_files
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.content import Content
from pachlet.storage.fileset import DEFAULT_TAG, Diff, FileSet, apply_diffs
from pachlet.storage.tree import MemoryNodes, Tree

PATHS = st.text("ab/", max_size=8).map("/".__add__)
LEAVES = st.sampled_from(
    [
        *map(Text, ["a", "b", "ab", "a/b", "b/a"]),
        NOT_SLASH,
        Chars((("a", "a"),)),
        Chars((("b", "b"),), negated=True),
        Star(NOT_SLASH),
        Star(ANYTHING),
    ]
)


def sequences(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[list[Node]]:
    def no_stars_side_by_side(sequence: list[Node]) -> bool:  # they would be read as one `**`
        pairs = itertools.pairwise(sequence)
        return not any(isinstance(one, Star) and isinstance(other, Star) for one, other in pairs)

    return st.lists(nodes, max_size=4).filter(no_stars_side_by_side)


def groups(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    choices = st.lists(sequences(nodes), min_size=1, max_size=3).map(tuple)
    return st.builds(Group, st.sampled_from("{@?*+"), choices)


NODES = st.recursive(LEAVES, groups, max_leaves=8)
NEGATIONS = st.builds(Group, st.just("!"), st.lists(sequences(NODES), min_size=1, max_size=2).map(tuple))
# A negation stands last here, where what it refuses is plain: a whole rest of the path.
PATTERNS = st.builds(lambda head, tail: [*head, *tail], sequences(NODES), st.lists(NEGATIONS, max_size=1))


def written(sequence: Sequence[Node]) -> str:
    return "".join(map(written_node, sequence))


def written_node(node: Node) -> str:
    if isinstance(node, Text):
        return node.text
    if isinstance(node, Star):
        return "*" if node.of == NOT_SLASH else "**"
    if node == NOT_SLASH:
        return "?"
    if isinstance(node, Chars):
        return f"[{'!' if node.negated else ''}{node.ranges[0][0]}]"
    if node.kind == "{":
        return "{" + ",".join(map(written, node.choices)) + "}"
    return f"{node.kind}({'|'.join(map(written, node.choices))})"


def ends(sequence: Sequence[Node], path: str, starts: set[int]) -> set[int]:
    """Where a match of the sequence may end if it begins at one of `starts`."""
    for node in sequence:
        starts = set().union(*(ends_of_node(node, path, start) for start in starts))
    return starts


def ends_of_node(node: Node, path: str, start: int) -> set[int]:
    if isinstance(node, Text):
        return {start + len(node.text)} if path.startswith(node.text, start) else set()
    if isinstance(node, Chars):
        return {start + 1} if start < len(path) and node.has(path[start]) else set()
    if isinstance(node, Star):
        return closure([[node.of]], path, start)
    one = set().union(*(ends(choice, path, {start}) for choice in node.choices))
    if node.kind == "?":
        return one | {start}
    if node.kind == "*":
        return closure(node.choices, path, start)
    if node.kind == "+":
        return set().union(*(closure(node.choices, path, end) for end in one))
    if node.kind == "!":
        return set() if len(path) in one else closure([[NOT_SLASH]], path, start)
    return one


def closure(choices: Sequence[Sequence[Node]], path: str, start: int) -> set[int]:
    found: set[int] = set()
    fresh = {start}
    while fresh:
        found |= fresh
        fresh = set().union(*(ends(choice, path, fresh) for choice in choices)) - found
    return found


@given(PATTERNS, PATHS)
def test_matches_as_defined(sequence: list[Node], path: str) -> None:
    pattern = "/" + written(sequence)
    glob = Glob(pattern)
    if glob.pattern == pattern:  # otherwise cleaning changed the pattern, and with it the meaning
        path = path.rstrip("/")
        reference = len(path) in ends([Text("/"), *sequence], path, {0})
        assert (glob.match(path) is not None) == (path == "/" if pattern == "/" else reference)


def captures_in_repeat(sequence: Sequence[Node], inside: bool = False) -> bool:
    """Whether a capture is taken again and again; which of them counts is up to the matcher."""
    return any(
        isinstance(node, Group)
        and (
            (inside and node.kind != "{")
            or any(captures_in_repeat(choice, inside or node.kind in "*+") for choice in node.choices)
        )
        for node in sequence
    )


@given(PATTERNS, PATHS, st.booleans())
@example([Group("*", ([], [Text("a")])), Star(NOT_SLASH)], "/a", False)  # *(|a)*
def test_both_matchers_agree(sequence: list[Node], path: str, refuses_to_end: bool) -> None:
    sequence = [Text("/"), *sequence]
    quick = regex_matcher(sequence, refuses_to_end)(path)
    safe = machine_matcher(sequence, refuses_to_end)(path)
    assert (quick is None) == (safe is None)
    if not captures_in_repeat(sequence):
        assert quick == safe


ELEMENTS = st.lists(st.one_of(NODES, NEGATIONS, st.just(Text("/"))), max_size=6)


def tree() -> FileSet:
    """Return empty files at all paths of three elements out of a few, and at some shorter ones."""
    diff = Diff()
    for one, two, three in itertools.product(("a", "b", "ab"), ("a", "b", "ba"), ("a", "ab")):
        for path in (f"/{one}/{two}/{three}", f"/{one}/x{two}", f"/x{one}"):
            diff.append(path, DEFAULT_TAG, Content.of([]))
    unused: ChunkStore = None  # type: ignore[assignment]  # nothing is joined, so nothing is read
    return FileSet(apply_diffs(Tree(MemoryNodes(), None), [diff], unused))


TREE = tree()


@given(ELEMENTS)
def test_what_is_found_level_by_level_is_what_matches(sequence: list[Node]) -> None:
    """Negations stand anywhere here, because it is only asked whether two ways find the same."""
    glob = Glob("/" + written(sequence))
    assume(glob.pattern != "/")
    infos = [each for each in TREE.walk() if each.path != "/"]
    matching = [each for each in infos if glob.match(each.path.rstrip("/")) is not None]
    assert list(glob_files(TREE, glob.pattern)) == matching


@given(PATTERNS)
def test_reading_undoes_writing(sequence: list[Node]) -> None:
    pattern = written(sequence)
    assert written(Parser(pattern).parse()) == pattern


@given(st.text("ab/*?[]!^-{},()|@+\\:", max_size=12), PATHS)
def test_any_pattern_is_read_or_refused(pattern: str, path: str) -> None:
    try:
        glob = Glob(pattern)
    except Refused:
        return
    if glob.match(path) is not None:
        assert path.startswith(glob.literal_prefix)
        assert glob.replace(path, "$0") == path.rstrip("/")
