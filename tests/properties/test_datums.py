"""The datums of any tree of inputs against a naive reading of what each kind of input means; sorting on disk."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from pachlet.globs import Glob
from pachlet.paths import Repo
from pachlet.pps.datum import Datum, datum_id
from pachlet.pps.datums import FileMatch, enumerate_datums, stream_datums
from pachlet.pps.inputs import CrossInput, GroupInput, Input, JoinInput, PfsInput, UnionInput
from pachlet.pps.sorting import in_order

PATHS = [f"/{a}{b}" for a in "xyz" for b in "12"] + ["/d/x1", "/d/y2"]
GLOBS = ["/*", "/(?)(?)", "/x*", "/(*)1", "/", "/d/*", "/**", "/none"]
KEYS = ["$1", "$2", "", "all"]

leaves = st.builds(
    lambda name, project, glob, join_on, group_by, outer, reference: PfsInput(
        name, Repo(project, "r"), "master", glob, join_on, outer, group_by, reference=reference
    ),
    st.sampled_from("abc"),
    st.sampled_from(["one", "two"]),
    st.sampled_from(GLOBS),
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.booleans(),
    st.booleans(),
)
trees: st.SearchStrategy[Input] = st.recursive(
    leaves,
    lambda below: st.builds(
        lambda kind, parts: kind(tuple(parts)),
        st.sampled_from([CrossInput, UnionInput, JoinInput, GroupInput]),
        st.lists(below, max_size=2),
    ),
    max_leaves=4,
)


def files(leaf: PfsInput, glob: Glob) -> Iterator[FileMatch]:
    for path in sorted([*PATHS, "/", "/d"]):
        if glob.match(path) is not None:
            digest = hashlib.blake2b(f"{leaf.repo.project}{path}".encode()).digest()
            yield FileMatch(path, path in ("/", "/d"), digest, len(path))


File = tuple[str, str, str, str, str, bool]
"""Of a file: the input's name, the project, the path, both keys, and whether it is of an outer join."""
Line = tuple[File, ...]


def id_of(line: Line) -> str:
    hasher = hashlib.blake2b(digest_size=32)
    for name, _, path, *_ in line:
        for text in (name, "r", "master", path):
            hasher.update(text.encode() + len(text).to_bytes(8, "big"))
    return hasher.hexdigest()


def naive(tree: Input) -> list[Line]:
    """Return the datums as Pachyderm's documentation describes them, sorted by id, the first of those with one id."""
    unique: dict[str, Line] = {}
    for line in naive_unsorted(tree):
        unique.setdefault(id_of(line), line)
    return [unique[key] for key in sorted(unique)]


def naive_unsorted(tree: Input) -> Iterator[Line]:
    if isinstance(tree, PfsInput):
        glob = Glob(tree.glob)
        for found in files(tree, glob):
            path = found.path.rstrip("/")
            join_on, group_by = (
                glob.replace(path, key) if key else "" for key in (tree.join_on, tree.group_by)
            )
            shown = path + "/" if found.is_dir else path
            yield ((tree.name, tree.repo.project, shown, join_on, group_by, tree.outer_join),)
    elif isinstance(tree, UnionInput):
        for part in tree.inputs:
            yield from naive(part)
    elif isinstance(tree, CrossInput):
        for lines in itertools.product(*(naive(part) for part in tree.inputs)) if tree.inputs else ():
            yield tuple(itertools.chain.from_iterable(lines))
    elif isinstance(tree, JoinInput | GroupInput):
        at = 3 if isinstance(tree, JoinInput) else 4
        sides = [[file for line in naive(part) for file in line] for part in tree.inputs]
        for key in dict.fromkeys(file[at] for side in sides for file in side):
            matching = [[file for file in side if file[at] == key] for side in sides]
            if isinstance(tree, GroupInput):
                yield tuple(itertools.chain.from_iterable(matching))
            elif all(matching):
                yield from itertools.product(*matching)
            else:
                for line in itertools.product(*(side for side in matching if side)):
                    if outer := tuple(file for file in line if file[5]):
                        yield outer


def as_line(datum: Datum) -> Line:
    return tuple(
        (f.name, f.repo.project, f.path, f.join_on, f.group_by, f.input.outer_join) for f in datum.files
    )


@given(trees)
def test_datums_are_those_of_the_reference(tree: Input) -> None:
    assert [as_line(each) for each in enumerate_datums(tree, files)] == naive(tree)


@given(trees, st.integers(1, 5))
def test_order_and_uniqueness_hold_on_disk_and_in_memory(tree: Input, in_memory: int) -> None:
    found = list(stream_datums(tree, files))
    ordered = list(in_order(iter(found), in_memory))
    assert ordered == list(in_order(iter(found)))
    assert [each.id for each in ordered] == sorted({each.id for each in found})
    firsts = {each.id: each for each in reversed(found)}
    assert ordered == [firsts[each.id] for each in ordered]
    assert all(datum_id(each.files) == each.id for each in ordered)
