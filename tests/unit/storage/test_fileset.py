"""File sets: hashes, large files, the words of errors, and what reading costs."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from pachlet import errors
from pachlet.paths import FILE_PATH_MAX
from pachlet.pfs.globbing import glob_files
from pachlet.storage.chunks import ChunkStore, ChunkWriter, Location
from pachlet.storage.content import Content, read_content, write_content
from pachlet.storage.fileset import DEFAULT_TAG, Diff, FileSet, apply_diffs, diff_filesets
from pachlet.storage.tree import MemoryNodes, NodeCache, Tree


class Index(dict[bytes, Location]):
    """A chunk index in memory."""

    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)


class CountingNodes(MemoryNodes):
    """A node store that counts reads."""

    reads = 0

    def get_node(self, hash: bytes) -> bytes:
        self.reads += 1
        return super().get_node(hash)


@pytest.fixture
def store(tmp_path: Path) -> ChunkStore:
    return ChunkStore(tmp_path, Index())


@pytest.fixture
def writer(store: ChunkStore) -> ChunkWriter:
    return store.writer()


def write(
    store: ChunkStore, writer: ChunkWriter, base: FileSet | None, *files: tuple[str, str, bytes]
) -> FileSet:
    """Return a file set with (path, tag, bytes) appended."""
    diff = Diff()
    for path, tag, data in files:
        diff.append(path, tag, write_content(writer, [data]))
    tree = base.tree if base else Tree(MemoryNodes(), None)
    return FileSet(apply_diffs(tree, [diff], store, writer))


def many(count: int, nodes: MemoryNodes) -> FileSet:
    """Return many files in folders of 500, without bytes."""
    diff = Diff()
    for number in range(count):
        content = Content.of([(number.to_bytes(32, "big"), 10)])
        diff.append(f"/d{number // 500:03}/f{number:06}", DEFAULT_TAG, content)
    unused: ChunkStore = None  # type: ignore[assignment]  # nothing is joined, so nothing is read
    return FileSet(apply_diffs(Tree(nodes, None, NodeCache(0)), [diff], unused))


def test_an_empty_file_set_shows_nothing() -> None:
    files = FileSet(Tree(MemoryNodes(), None))
    assert (files.info("/"), files.info("/a"), files.size(), files.validate()) == (None, None, 0, None)
    assert [*files.walk("/"), *files.list_dir("/"), *files.entries()] == []
    assert files.file("/a") == []


def test_folders_may_be_nested_deeper_than_calls(store: ChunkStore, writer: ChunkWriter) -> None:
    depth = sys.getrecursionlimit() + 1
    assert depth < FILE_PATH_MAX / 2
    files = write(store, writer, None, ("/a" * depth, DEFAULT_TAG, b""), ("/b", DEFAULT_TAG, b""))
    below = ["/a" * level + "/" * (level < depth) for level in range(1, depth + 1)]
    assert [each.path for each in files.walk("/a")] == below
    assert [each.path for each in glob_files(files, "/*" * depth)] == below[-1:]
    assert [each.path for each in glob_files(files, "/a/**")] == below[1:]


def test_an_appended_file_extends_what_the_base_has(store: ChunkStore, writer: ChunkWriter) -> None:
    base = write(store, writer, None, ("/a", "default", b"twelve bytes"))
    files = write(store, writer, base, ("/a", "default", b"twelve more."))
    whole = write(store, writer, None, ("/a", "default", b"twelve bytestwelve more."))
    assert files.tree.root == whole.tree.root
    (entry,) = files.file("/a")
    assert b"".join(read_content(store, entry.content)) == b"twelve bytestwelve more."


def test_a_hash_does_not_tell_who_wrote(store: ChunkStore, writer: ChunkWriter) -> None:
    one = write(store, writer, None, ("/d/a", "datum1", b"1"), ("/d/b", "datum1", b"2"))
    other = write(store, writer, None, ("/d/a", "datum2", b"1"), ("/d/b", "datum3", b"2"))
    assert one.tree.root != other.tree.root
    for path in ("/", "/d", "/d/a"):
        before, after = one.info(path), other.info(path)
        assert before is not None
        assert after is not None
        assert before.hash == after.hash
    assert list(diff_filesets(one, other)) == []
    changed = write(store, writer, None, ("/d/a", "datum1", b"1"), ("/d/b", "datum1", b"!"))
    assert changed.info("/") != one.info("/")


def test_the_hash_of_a_directory_does_not_depend_on_its_neighbours(
    store: ChunkStore, writer: ChunkWriter
) -> None:
    inside = [(f"/d/{number}", "default", b"%d" % number) for number in range(1000)]
    alone = write(store, writer, None, *inside)
    crowd = [(f"/{letter}/{number}", "default", b"x") for letter in "ceD" for number in range(500)]
    assert write(store, writer, alone, *crowd).info("/d") == alone.info("/d")


def test_a_path_with_two_tags_is_listed_once(store: ChunkStore, writer: ChunkWriter) -> None:
    files = write(store, writer, None, ("/a", "d1", b"one"), ("/a", "d2", b"three"), ("/b", "d1", b""))
    listed = list(files.list_dir("/"))
    assert [(info.path, info.size, info.tag) for info in listed] == [("/a", 8, "d1"), ("/b", 0, "d1")]
    assert [entry.tag for entry in files.file("/a")] == ["d1", "d2"]
    assert [entry.content.size for entry in files.file("/a", "d2")] == [5]
    assert files.file("/a", "d3") == []
    assert [entry.path for entry in files.entries("/", "d1")] == ["/a", "/b"]


@pytest.mark.parametrize(
    "paths, problem",
    [
        ([("/a", "d1"), ("/b", "d2")], None),
        (
            [("/a", "d1"), ("/a", "d2")],
            "duplicate path output by different datums (/a from d1 and /a from d2)",
        ),
        ([("/a", "d1"), ("/a/b", "d1")], "file / directory path collision (/a/b)"),
        ([("/a", "d1"), ("/a-", "d1"), ("/a/b/c", "d1")], "file / directory path collision (/a/b/c)"),
        ([("/a", "d1"), ("/a-", "d1"), ("/a.b", "d1"), ("/ab/c", "d1")], None),
    ],
)
def test_validate_says_what_is_wrong(
    store: ChunkStore, writer: ChunkWriter, paths: list[tuple[str, str]], problem: str | None
) -> None:
    files = write(store, writer, None, *((path, tag, b"x") for path, tag in paths))
    assert files.validate() == problem
    assert files.validate(FileSet(Tree(MemoryNodes(), None))) == problem
    for path, tag in paths:  # whichever came last, onto a base that was right
        diff = Diff()
        diff.delete_file(path, tag)
        base = FileSet(apply_diffs(files.tree, [diff], store))
        assert base.validate() or files.validate(base) == problem


def test_a_large_file_keeps_its_list_of_chunks_out_of_the_leaf(
    store: ChunkStore, writer: ChunkWriter
) -> None:
    chunks = [(random.Random(number).randbytes(32), 1 << 20) for number in range(5000)]
    diff = Diff()
    diff.append("/large", "default", Content.of(chunks))
    nodes = MemoryNodes()
    files = FileSet(apply_diffs(Tree(nodes, None), [diff], store, writer))
    assert files.tree.root is not None
    assert len(nodes.get_node(files.tree.root)) < 300
    (entry,) = files.file("/large")
    assert entry.content == Content.of(chunks)
    info = files.info("/large")
    assert info is not None
    assert (info.size, info.hash) == (entry.content.size, entry.content.hash)
    (list_hash,) = (hash for hash, data in nodes.items() if data[:1] == b"C")
    nodes.put_nodes([(list_hash, nodes.get_node(list_hash)[:-36])])
    with pytest.raises(errors.Corrupt, match="damaged"):
        files.file("/large")


def test_listing_reads_only_the_level_that_it_lists() -> None:
    nodes = CountingNodes()
    files = many(20_000, nodes)
    leaves = sum(data[:1] == b"L" for _, data in nodes.items())
    assert leaves > 100
    files = FileSet(Tree(nodes, files.tree.root))  # with a cache
    nodes.reads = 0
    assert len(list(files.list_dir("/d030"))) == 500
    assert nodes.reads < 20
    first = next(files.list_dir("/"))
    assert (first.path, first.size) == ("/d000/", 5000)
    info = files.info("/")
    assert info is not None
    assert info.size == 200_000
    assert nodes.reads < 30


def test_comparing_large_file_sets_reads_what_differs() -> None:
    nodes = CountingNodes()
    old = many(20_000, nodes)
    diff = Diff()
    diff.delete_file("/d020/f010123", DEFAULT_TAG)
    unused: ChunkStore = None  # type: ignore[assignment]
    new = FileSet(apply_diffs(old.tree, [diff], unused))
    nodes.reads = 0
    paths = [(before and before.path, after and after.path) for before, after in diff_filesets(old, new)]
    assert paths == [("/", "/"), ("/d020/", "/d020/"), ("/d020/f010123", None)]
    assert nodes.reads < 100
    nodes.reads = 0
    assert new.validate(old) is None
    assert nodes.reads < 20


def test_diff_compares_paths_of_their_own(store: ChunkStore, writer: ChunkWriter) -> None:
    old = write(store, writer, None, ("/file2", "default", b"x"))
    new = write(store, writer, old, ("/file1", "default", b"x"))
    found = [(a and a.path, b and b.path) for a, b in diff_filesets(old, new, "/file2", "/file1")]
    assert found == [(None, "/file1"), ("/file2", None)]


def test_decoding_a_damaged_diff_says_so(writer: ChunkWriter) -> None:
    diff = Diff()
    diff.append("/a", "default", write_content(writer, [b"x"]))
    diff.delete_tree("/b/")
    data = diff.encode()
    for broken in (b"", data[:-1], data[:9], b"\x63" + data[1:]):
        with pytest.raises(errors.Corrupt):
            Diff.decode(broken)
    assert Diff.decode(data).encode() == data
