"""Cutting streams: sizes, order, and what an insert moves."""

from __future__ import annotations

import random

import pytest

from pachlet.storage.chunker import MAX_SIZE, MIN_SIZE, split


def test_split_gives_nothing_for_no_bytes() -> None:
    assert list(split([])) == []
    assert list(split([b"", b""])) == []


@pytest.mark.parametrize("size", [1, 1024, MIN_SIZE])
def test_split_keeps_small_content_whole(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert list(split([data[:1], data[1:]])) == [data]


def test_split_keeps_sizes_in_bounds() -> None:
    data = random.Random(0).randbytes(24 << 20)
    chunks = list(split([data]))
    assert b"".join(chunks) == data
    assert len(chunks) > 10
    assert all(MIN_SIZE <= len(chunk) <= MAX_SIZE for chunk in chunks[:-1])


def test_split_cuts_bytes_without_landmarks_at_the_largest_size() -> None:
    assert [len(chunk) for chunk in split([bytes(9 << 20)])] == [MAX_SIZE, MAX_SIZE, 1 << 20]


def test_split_finds_the_same_chunks_behind_an_insert() -> None:
    data = random.Random(1).randbytes(16 << 20)
    before, after = set(split([data])), set(split([data[:5_000_000], b"insert", data[5_000_000:]]))
    assert len(after - before) <= 2


def test_split_streams_with_bounded_memory() -> None:
    taken = 0

    def blocks():
        nonlocal taken
        source = random.Random(2)
        while True:
            taken += 1 << 20
            yield source.randbytes(1 << 20)

    chunks = split(blocks())
    for _ in range(20):
        given = len(next(chunks))
        taken -= given
        assert taken <= 13 << 20


def test_split_bounds_huge_blocks_too() -> None:
    data = random.Random(3).randbytes(30 << 20)
    assert list(split([data])) == list(split(data[i : i + 1000_000] for i in range(0, len(data), 1000_000)))
