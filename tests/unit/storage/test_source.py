"""Bytes that come in blocks: a client may send empty ones, which are no end."""

from __future__ import annotations

from pathlib import Path

import pytest

from pachlet.storage import cutter, cutting
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.content import read_content, write_content
from pachlet.storage.source import Source
from tests.unit.storage.test_cutting import DATA, MIB, Index

BLOCKS = [b"", b"abc", b"", b"", b"def", b""]


def test_empty_blocks_are_no_end() -> None:
    source = Source(BLOCKS)
    assert not source.has(7)
    assert bytes(source.take(100)) == b"abcdef"
    source = Source(BLOCKS)
    source.has(7)
    place = bytearray(8)
    assert source.fill(memoryview(place)) == 6
    assert bytes(place) == b"abcdef\0\0"


@pytest.mark.parametrize("size", [4, 2 * MIB, len(DATA)])
def test_content_with_empty_blocks_is_stored_whole(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutter, "SEGMENT", 5 * MIB)
    monkeypatch.setattr(cutting, "LARGE", 10 * MIB)
    store = ChunkStore(tmp_path / "packs", Index(), threads=2)
    data = DATA[:size]
    blocks = [
        part for at in range(0, size, MIB) for part in (data[at : at + 2], b"", data[at + 2 : at + MIB])
    ]
    writer = store.writer()  # what it holds is not published
    content = write_content(writer, blocks)
    assert content.size == size
    assert b"".join(read_content(store, content)) == data
    store.close()
