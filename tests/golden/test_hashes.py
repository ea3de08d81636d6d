"""Pinned digests: data and datums are known by them, so a change here orphans what users have stored."""

from __future__ import annotations

import pytest

from pachlet.storage import hashing
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.content import Content
from pachlet.storage.fileset import Diff, FileSet, apply_diffs
from pachlet.storage.tree import MemoryNodes, Tree

HASHES = {
    "chunk of nothing": (
        hashing.chunk_hash(b""),
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    ),
    "chunk": (
        hashing.chunk_hash(b"pachlet"),
        "075502ecb4f3b9e7382f4fc6191ce3decce91ad46646268f66454531a217ba7a",
    ),
    "file of nothing": (
        hashing.file_hash([]),
        "c4de0f818e6df3a33409357c7fcf6bd047a7b0d8a024b161e1683427699081ad",
    ),
    "file": (
        hashing.file_hash([(hashing.chunk_hash(b"pach"), 4), (hashing.chunk_hash(b"let"), 3)]),
        "c8b226cbf7fe5fa7b4f4a0a68b08c7e8c70d517586b63747ccc93b6bc314443b",
    ),
    "merged": (
        hashing.merged_hash([hashing.file_hash([]), hashing.file_hash([])]),
        "13f662d7f7091233479a8fa125352765ffeceafbf3591acc250f7525a5515c5f",
    ),
    "directory": (
        hashing.directory_hash(hashing.node_digest(b"pachlet")),
        "8d66078adab16e0d819957a8576f58ce12a7640c370d5125e048403a1f03ad40",
    ),
    "node": (
        hashing.node_hash(b"pachlet"),
        "ad797f4f73088d1485edfc0fa786d2763dee843aec133f2f65043bf7dd9955b5",
    ),
    "digest": (
        hashing.node_digest(b"pachlet"),
        "1d910715fd50a26fa6224611076a71fe5ab95c729f4491a2a118c973a4769f57",
    ),
}


@pytest.mark.parametrize("kind", HASHES)
def test_hash_is_as_pinned(kind: str) -> None:
    made, pinned = HASHES[kind]
    assert made.hex() == pinned


def test_kinds_never_collide() -> None:
    assert len({made for made, _ in HASHES.values()}) == len(HASHES)


def test_boundaries_are_as_pinned() -> None:
    names = [b"/%d" % number for number in range(100_000)]
    assert [name for name in names if hashing.boundary_level(name, 7) > 1] == [
        b"/8602",
        b"/17592",
        b"/45878",
        b"/46339",
        b"/67107",
        b"/84829",
    ]


def test_a_tree_and_its_directories_are_as_pinned() -> None:
    diff = Diff()
    for number in range(1000):
        chunk = hashing.chunk_hash(b"%d" % number)
        diff.append(f"/d{number % 3}/{number}", "default", Content.of([(chunk, 3)] * (number % 40)))
    unused: ChunkStore = None  # type: ignore[assignment]  # nothing is appended to, so nothing is read
    files = FileSet(apply_diffs(Tree(MemoryNodes(), None), [diff], unused))
    info = files.info("/d1")
    assert files.tree.root is not None
    assert info is not None
    assert files.tree.root.hex() == "7d78a0f50ea5e28f9db4d47ecd4156b7a3ea866cfd3f590a4a9fdb0de62e6bc7"
    assert info.hash.hex() == "c038b119dd67eda48e2c583815eec20101c3f64861d80c9547774b76cba8efee"
    assert (
        hashing.node_digest(diff.encode()).hex()
        == "827624fb73b627a8ba5322d1036a792d037aa9397cefb3835f8da91918f6e7d6"
    )
