"""The rules of file sets: whatever the diffs, they show what a dict of paths would."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pachlet.storage.chunks import ChunkStore, Location
from pachlet.storage.content import read_content, write_content
from pachlet.storage.diffs import leave_out_idle
from pachlet.storage.fileset import Diff, FileSet, apply_diffs, diff_filesets
from pachlet.storage.tree import MemoryNodes, Tree
from tests.examples import examples

Model = dict[tuple[str, str], bytes]


class Index(dict[bytes, Location]):
    """A chunk index in memory."""

    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)


@pytest.fixture(scope="module")
def store() -> Iterator[ChunkStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = ChunkStore(Path(folder), Index())
        yield store
        store.close()


# Few names, so that paths meet; "a-b" and "a0" sort on both sides of "a/".
names = st.sampled_from(["a", "a-b", "a0", "b"])
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
folders = st.lists(names, max_size=2).map(lambda parts: "".join(f"/{part}" for part in parts) + "/")
tags = st.sampled_from(["default", "d1"])
operations = st.one_of(
    st.tuples(st.just("append"), paths, tags, st.binary(max_size=3)),
    st.tuples(st.just("append"), paths, st.just("default"), st.binary(max_size=3)),
    st.tuples(st.just("delete"), paths, tags),
    st.tuples(st.just("delete tree"), folders),
)
batches = st.lists(st.lists(operations, max_size=12), max_size=4)


def change(model: Model, operation: tuple) -> None:
    """Do one operation to a dict."""
    kind, path, *rest = operation
    if kind == "append":
        tag, data = rest
        model[path, tag] = model.get((path, tag), b"") + data
    elif kind == "delete":
        model.pop((path, rest[0]), None)
    else:
        for key in [key for key in model if key[0].startswith(path)]:
            del model[key]


def build(store: ChunkStore, batches: list[list[tuple]], *, together: bool) -> tuple[Model, FileSet]:
    """Return what operations lead to, as a dict and as a file set; a diff a batch, applied together or in turn."""
    writer = store.writer()
    model: Model = {}
    diffs = []
    for batch in batches:
        diff = Diff()
        for operation in batch:
            change(model, operation)
            kind, path, *rest = operation
            if kind == "append":
                diff.append(path, rest[0], write_content(writer, [rest[1]]))
            elif kind == "delete":
                diff.delete_file(path, rest[0])
            else:
                diff.delete_tree(path)
        diffs.append(Diff.decode(diff.encode()))
    tree = Tree(MemoryNodes(), None)
    for some in [diffs] if together else [[diff] for diff in diffs]:
        tree = apply_diffs(tree, some, store, writer)
    for path, tag in model:  # pending chunks live as long as their writer
        entry = FileSet(tree).file(path, tag)[0]
        assert b"".join(read_content(store, entry.content)) == model[path, tag]
    return model, FileSet(tree)


def children(model: Model, folder: str) -> list[str]:
    """Return what a listing of a folder shows."""
    found = set()
    for path, _ in model:
        if path.startswith(folder):
            name, slash, _ = path[len(folder) :].partition("/")
            found.add(folder + name + slash)
    return sorted(found)


def walked(model: Model, folder: str) -> list[str]:
    """Return what a walk below a folder shows."""
    return [
        path
        for child in children(model, folder)
        for path in ([child, *walked(model, child)] if child.endswith("/") else [child])
    ]


@settings(max_examples=examples(1.5), deadline=None)
@given(batches=batches, together=st.booleans())
def test_a_file_set_is_what_its_operations_lead_to(
    store: ChunkStore, batches: list[list[tuple]], together: bool
) -> None:
    model, files = build(store, batches, together=together)
    assert [(entry.path, entry.tag) for entry in files.entries()] == sorted(model)
    assert files.size() == sum(map(len, model.values()))
    everything = list(files.walk())
    assert [info.path for info in everything] == (["/", *walked(model, "/")] if model else [])
    for info in everything:
        below = [data for (path, _), data in model.items() if path.startswith(info.path)]
        if info.is_dir:
            assert info.path.endswith("/")
            assert info.size == sum(map(len, below))
            assert [child.path for child in files.list_dir(info.path)] == children(model, info.path)
            assert list(files.list_dir(info.path.rstrip("/"))) == list(files.list_dir(info.path))
        else:
            written = [model[key] for key in sorted(model) if key[0] == info.path]
            assert info.size == sum(map(len, written))
            assert list(files.list_dir(info.path + "/none")) == []
        assert info in (files.info(info.path), files.info(info.path + "/"), files._directory(info.path))
    # The same content written at once, in one diff, is the same tree.
    at_once = [[("append", path, tag, data) for (path, tag), data in model.items()]]
    assert build(store, at_once, together=True)[1].tree.root == files.tree.root


@settings(max_examples=examples(1.5), deadline=None)
@given(old=batches, new=batches, folder=folders, shallow=st.booleans())
def test_diff_filesets_is_what_two_walks_differ_in(
    store: ChunkStore, old: list[list[tuple]], new: list[list[tuple]], folder: str, shallow: bool
) -> None:
    _, before = build(store, old, together=True)
    _, after = build(store, old + new, together=True)

    def look(files: FileSet) -> dict:
        infos = files.list_dir(folder) if shallow else files.walk(folder)
        return {info.path: info for info in infos}

    info = before.info(folder) or after.info(folder)
    sides = look(before), look(after)
    if (
        info is not None
        and info.is_dir
        and not any(files._file(folder.rstrip("/")) for files in (before, after))
    ):
        expected = [
            (sides[0].get(path), sides[1].get(path))
            for path in sorted(sides[0].keys() | sides[1].keys())
            if getattr(sides[0].get(path), "hash", None) != getattr(sides[1].get(path), "hash", None)
        ]
        assert list(diff_filesets(before, after, folder, shallow=shallow)) == expected
    assert list(diff_filesets(after, after, folder, shallow=shallow)) == []


@settings(max_examples=examples(1.5), deadline=None)
@given(old=batches, new=batches)
def test_validate_finds_every_clash(
    store: ChunkStore, old: list[list[tuple]], new: list[list[tuple]]
) -> None:
    model, files = build(store, old + new, together=True)
    names = {path for path, _ in model}
    twice = len(names) < len(model)
    inside = any(other.startswith(path + "/") for path in names for other in names)
    problem = files.validate()
    assert (problem is not None) == (twice or inside)
    _, before = build(store, old, together=True)
    if before.validate() is None:
        assert (files.validate(before) is None) == (problem is None)


@settings(deadline=None)
@given(batches=batches)
def test_reading_without_a_writer_shows_the_same_bytes(store: ChunkStore, batches: list[list[tuple]]) -> None:
    writer = store.writer()
    model: Model = {}
    diff = Diff()
    for operation in [operation for batch in batches for operation in batch]:
        change(model, operation)
        kind, path, *rest = operation
        if kind == "append":
            diff.append(path, rest[0], write_content(writer, [rest[1]]))
        elif kind == "delete":
            diff.delete_file(path, rest[0])
        else:
            diff.delete_tree(path)
    files = FileSet(apply_diffs(Tree(MemoryNodes(), None), [diff], store))
    found = {(e.path, e.tag): b"".join(read_content(store, e.content)) for e in files.entries()}
    assert found == model


@given(before=batches, more=batches)
def test_idle_changes_may_be_left_out(store: ChunkStore, before: list, more: list) -> None:
    """Replacing files by what they are changes nothing; leaving that out of a diff neither."""
    writer = store.writer()
    model, old = build(store, before, together=True)
    diff = Diff()
    for (path, tag), data in model.items():  # put again
        diff.delete_file(path, tag)
        diff.append(path, tag, write_content(writer, [data]))
    assert not list(leave_out_idle(diff, old.tree).changes()) or not model
    for batch in more:
        for kind, path, *rest in batch:
            if kind == "append":
                diff.append(path, rest[0], write_content(writer, [rest[1]]))
            elif kind == "delete":
                diff.delete_file(path, rest[0])
            else:
                diff.delete_tree(path)
    needed = leave_out_idle(diff, old.tree)
    roots = [apply_diffs(old.tree, [each], store, writer).root for each in (diff, needed)]
    assert roots[0] == roots[1]
