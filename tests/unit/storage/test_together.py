"""Chunks that lie together are read together, and what is not where it should be is left to the store."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pachlet.storage.chunks import ChunkStore, Location
from pachlet.storage.packs import PackReader, pack_path
from pachlet.storage.together import read_together
from tests.unit.storage.test_chunks import Index

SOME = [random.Random(number).randbytes(100 + number) for number in range(50)] + [b"text " * 1000]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    index = Index()
    store = ChunkStore(tmp_path, index, pack_size=3000)  # so that there are some packs
    writer = store.writer()
    for data in SOME:
        writer.put(data)
    index.publish(writer.seal())
    store.close()
    return index


def test_all_are_found_with_one_read_for_each_pack(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[PackReader] = []
    read_span = PackReader.read_span

    def noted(self: PackReader, offset: int, end: int) -> bytes:
        reads.append(self)
        return read_span(self, offset, end)

    monkeypatch.setattr(PackReader, "read_span", noted)
    found = read_together(ChunkStore(tmp_path, index), index)
    assert sorted(found.values()) == sorted(SOME)
    assert found.keys() == index.keys()
    assert len(reads) == len({each.pack for each in index.values()}) > 1


def test_what_is_far_away_is_a_read_of_its_own_and_nothing_in_between_is_given(
    tmp_path: Path, index: Index
) -> None:
    first, last = min(index, key=index.__getitem__), max(index, key=index.__getitem__)
    found = read_together(ChunkStore(tmp_path, index), {each: index[each] for each in (last, first)})
    assert found.keys() == {first, last}


def test_the_damaged_and_the_misplaced_are_left_out_and_the_others_are_there(
    tmp_path: Path, index: Index
) -> None:
    by_place = sorted(index, key=index.__getitem__)
    damaged, misplaced = by_place[3], by_place[5]
    place = index[damaged]
    path = pack_path(tmp_path, place.pack)
    data = bytearray(path.read_bytes())
    data[place.offset + 60] ^= 1
    path.write_bytes(data)
    places = {**index, misplaced: index[by_place[6]]}
    found = read_together(ChunkStore(tmp_path, index), places)
    assert index.keys() - found.keys() == {damaged, misplaced}


def test_a_pack_that_ends_before_or_is_gone_costs_only_what_was_in_it(tmp_path: Path, index: Index) -> None:
    by_place = sorted(index, key=index.__getitem__)
    packs = sorted({each.pack for each in index.values()})
    pack_path(tmp_path, packs[0]).unlink()
    torn = [each for each in by_place if index[each].pack == packs[1]][-1]
    with pack_path(tmp_path, packs[1]).open("rb+") as file:
        file.truncate(index[torn].offset + 10)
    lost = {each for each in index if index[each].pack == packs[0]} | {torn}
    assert index.keys() - read_together(ChunkStore(tmp_path, index), index).keys() == lost


def test_nothing_is_nothing(tmp_path: Path, index: Index) -> None:
    nowhere: dict[bytes, Location] = {}
    assert read_together(ChunkStore(tmp_path, index), nowhere) == {}
