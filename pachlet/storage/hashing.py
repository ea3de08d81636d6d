"""Make every hash of the project.

One small file, so that the digests that data and datums depend on can be seen at a glance; each kind of
thing is hashed under its own name, so that no two kinds collide. The literals in
tests/golden/test_hashes.py pin them: a change here that moves one orphans existing data. BLAKE3 where speed
counts and only we look (chunks, nodes); BLAKE2b-256 for what goes on the wire, as upstream has it.

Read next: chunker.py (what decides which chunks a file has).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeAlias

from blake3 import blake3

Bytes: TypeAlias = "bytes | memoryview"
"""What is hashed, compressed and written; a view where copying would cost as much as the work."""

SIZE = 32
"""Bytes in any hash."""


def chunk_hash(data: Bytes) -> bytes:
    """Return the hash of a chunk: plain BLAKE3-256 of its bytes."""
    return bytes(blake3(data).digest())


def content_hash(data: bytes) -> bytes:
    """Return the plain BLAKE2b-256 of bytes, by which clients of file sets know contents."""
    return hashlib.blake2b(data, digest_size=SIZE).digest()


def file_hash(chunks: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the hash of a file from the (hash, length) of its chunks."""
    state = hashlib.blake2b(digest_size=SIZE, person=b"pachlet file 1")
    for digest, length in chunks:
        state.update(digest)
        state.update(length.to_bytes(8, "big"))
    return state.digest()


def merged_hash(hashes: Iterable[bytes]) -> bytes:
    """Return the hash of a path that several datums wrote, from what each wrote, in the order of tags."""
    return hashlib.blake2b(b"".join(hashes), digest_size=SIZE, person=b"pachlet merged 1").digest()


def directory_hash(digest: bytes) -> bytes:
    """Return the hash of a directory from the digest of all below it (see `Tree.measure`)."""
    return hashlib.blake2b(digest, digest_size=SIZE, person=b"pachlet dir 1").digest()


def node_hash(data: bytes) -> bytes:
    """Return the hash under which a tree's node is kept."""
    return hashlib.blake2b(data, digest_size=SIZE, person=b"pachlet node 1").digest()


def node_digest(data: bytes) -> bytes:
    """Return the digest of a node's names and values, which says nothing of labels (see nodes.py)."""
    return hashlib.blake2b(data, digest_size=SIZE, person=b"pachlet digest 1").digest()


def boundary_level(name: bytes, bits: int) -> int:
    """Return how many levels of a tree have a node that ends after `name`; one in 2**bits ends a leaf."""
    number = int.from_bytes(hashlib.blake2b(name, digest_size=8, person=b"pachlet bounds 1").digest(), "big")
    zeros = (number & -number).bit_length() - 1 if number else 64
    return zeros // bits
