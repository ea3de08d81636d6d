"""Contents: what is read back, and how little is read to extend one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pachlet import errors
from pachlet.storage import recutting
from pachlet.storage.chunks import ChunkStore, Location
from pachlet.storage.content import (
    EMPTY,
    Content,
    concat,
    read_content,
    write_content,
    write_content_like,
)


class Index(dict[bytes, Location]):
    """A chunk index in memory."""

    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)


class CountingStore(ChunkStore):
    """A store that counts what is read from it."""

    reads = 0

    def read(self, hash: bytes) -> bytes:
        self.reads += 1
        return super().read(hash)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CountingStore]:
    store = CountingStore(tmp_path, Index())
    yield store
    store.close()


def test_empty_content_has_no_chunks(store: CountingStore) -> None:
    writer = store.writer()
    assert write_content(writer, []) == write_content(writer, [b""]) == EMPTY == concat(store, writer, [])
    assert (EMPTY.size, EMPTY.chunks) == (0, ())
    assert list(read_content(store, EMPTY)) == []


def test_read_content_returns_any_range_in_blocks(store: CountingStore) -> None:
    data = random.Random(0).randbytes(5 << 20)
    writer = store.writer()
    content = write_content(writer, [data])
    assert len(content.chunks) > 2
    for offset, size in [(0, None), (1, 10), (3 << 20, None), (5 << 20, None), (7 << 20, 1), (4_000_000, 0)]:
        blocks = list(read_content(store, content, offset, size, block=100_000))
        end = len(data) if size is None else offset + size
        assert b"".join(blocks) == data[offset:end]
        assert all(0 < len(block) <= 100_000 for block in blocks)


def test_read_content_reads_only_the_chunks_of_the_range(store: CountingStore) -> None:
    data = random.Random(0).randbytes(5 << 20)
    writer = store.writer()
    content = write_content(writer, [data])
    assert b"".join(read_content(store, content, (5 << 20) - 1)) == data[-1:]
    assert store.reads == 1


def test_concat_reads_only_around_the_seam(store: CountingStore) -> None:
    first, second = random.Random(0).randbytes(3 << 20), random.Random(1).randbytes(40 << 20)
    writer = store.writer()
    whole = write_content(writer, [first, second])
    parts = [write_content(writer, [first]), EMPTY, write_content(writer, [second])]
    assert concat(store, writer, parts) == whole
    assert store.reads < len(whole.chunks) // 2


def test_concat_reads_of_what_is_appended_to_only_the_last_chunk(store: CountingStore) -> None:
    data = random.Random(0).randbytes(5 << 20)
    writer = store.writer()
    whole = write_content(writer, [data, b"tail"])
    parts = [write_content(writer, [data]), write_content(writer, [b"tail"])]
    assert concat(store, writer, parts) == whole
    assert store.reads == 2  # that chunk, and the tail
    assert concat(store, writer, [EMPTY, whole]) == whole
    assert store.reads == 2


def test_encode_is_undone_by_decode(store: CountingStore) -> None:
    writer = store.writer()
    content = write_content(writer, [random.Random(0).randbytes(3 << 20)])
    assert Content.decode(content.encode()) == content
    with pytest.raises(errors.Corrupt):
        Content.decode(content.encode()[:-1])


def test_a_file_that_was_changed_in_the_middle_is_hardly_cut(
    store: CountingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cuts = bytearray(random.Random(6).randbytes(30_000_000)), 0
    before = write_content(writer := store.writer(), [bytes(data)])
    data[15_000_000:15_000_010] = b"0123456789and some more"
    first_chunk = recutting.first_chunk

    def counted(taken: bytes, give_back: Callable[[bytes], None]) -> bytes:
        nonlocal cuts
        cuts += 1
        return first_chunk(taken, give_back)

    monkeypatch.setattr(recutting, "first_chunk", counted)
    after = write_content_like(store, writer, [bytes(data)], before)
    assert len(set(after.chunks) - set(before.chunks)) < 4
    assert 2 <= cuts < 8
    assert after == write_content(store.writer(), [bytes(data)])


def test_reading_ahead_keeps_the_order_and_stops_at_damage(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(5).randbytes(12_000_000)
    writer = store.writer()
    content = write_content(writer, [data])
    assert len(content.chunks) > 6
    lost = content.chunks[4][0]
    read = store.read

    def read_but_one(hash: bytes) -> bytes:
        if hash == lost:
            raise errors.Corrupt("damaged")
        return read(hash)

    assert b"".join(read_content(store, content, 1_500_000, 7_000_000)) == data[1_500_000:8_500_000]
    monkeypatch.setattr(store, "read", read_but_one)
    got: list[bytes] = []
    with pytest.raises(errors.Corrupt):
        got.extend(read_content(store, content))
    assert b"".join(got) == data[: sum(length for _, length in content.chunks[:4])]
