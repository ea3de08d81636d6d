"""The files of a lease's datums are looked up together, and what is read is what was stored."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pachlet.errors import Corrupt
from pachlet.pps import reading_ahead
from pachlet.pps.datum_folder import Found
from pachlet.pps.reading_ahead import ReadingAhead
from pachlet.storage.chunks import ChunkStore, ChunkWriter, Location
from pachlet.storage.content import Content, read_content, write_content
from tests.unit.storage.test_chunks import Index


class CountingIndex(Index):
    """An index that notes how often it is asked."""

    asked = 0

    def find_chunks(self, hashes: Any) -> dict[bytes, Location]:
        self.asked += 1
        return {each: self[each] for each in hashes if each in self}


@pytest.fixture
def index() -> CountingIndex:
    return CountingIndex()


@pytest.fixture
def store(tmp_path: Path, index: CountingIndex) -> ChunkStore:
    return ChunkStore(tmp_path, index)


def put(writer: ChunkWriter, *texts: bytes) -> list[Found]:
    """Store files; return them as those of a datum."""
    return [
        Found(f"in/{number}", [_entry(write_content(writer, [text]))], is_empty=False)
        for number, text in enumerate(texts)
    ]


def _entry(content: Content) -> Any:
    return SimpleNamespace(content=content)


def ahead_of(
    store: ChunkStore, index: CountingIndex, datums: dict[str, list[Found]], monkeypatch: pytest.MonkeyPatch
) -> ReadingAhead:
    """Make what reads for a lease of these datums."""
    monkeypatch.setattr(reading_ahead, "input_files", lambda inputs, datum: datums[datum.id])
    todo = {each: SimpleNamespace(datum=SimpleNamespace(id=each)) for each in datums}
    held: Any = SimpleNamespace(todo=todo, offer=SimpleNamespace(inputs=None))
    files: Any = SimpleNamespace(
        store=store, index=index, read=lambda content: read_content(store, content, 0, None)
    )
    return ReadingAhead(files, held)


def read(ahead: ReadingAhead, datum: str, found: list[Found]) -> list[bytes]:
    return [b"".join(blocks) for blocks in ahead.read(datum, found)]


def test_a_lease_of_small_files_is_one_look_up(store, index, monkeypatch):
    writer = store.writer()
    datums = {f"d{number}": put(writer, b"text %d" % number, b"the same") for number in range(50)}
    index.publish(writer.seal())
    ahead = ahead_of(store, index, datums, monkeypatch)
    for number, (id, found) in enumerate(datums.items()):
        assert ahead.take_found(id) == (found if number else None)
        assert read(ahead, id, found) == [b"text %d" % number, b"the same"]
    assert index.asked == 1


def test_large_files_and_those_that_are_shown_by_name_are_not_read_ahead(store, index, monkeypatch):
    writer = store.writer()
    noise = random.Random(0).randbytes
    large, long = noise(3 << 20), noise(200_000)
    datums = {"d1": put(writer, b"first", large), "d2": put(writer, long, b"", b"last")}
    datums["d2"].append(Found("in/name", datums["d1"][0].entries, is_empty=True))
    index.publish(writer.seal())
    ahead = ahead_of(store, index, datums, monkeypatch)
    assert read(ahead, "d1", datums["d1"]) == [b"first", large]
    assert read(ahead, "d2", datums["d2"]) == [long, b"", b"last", b""]
    assert index.asked <= 2


def test_a_datum_of_many_files_is_read_in_pieces(store, index, monkeypatch):
    writer = store.writer()
    noise = random.Random(0).randbytes
    texts = [noise(50_000) for _ in range(100)]
    datums = {"d1": put(writer, *texts)}
    index.publish(writer.seal())
    ahead = ahead_of(store, index, datums, monkeypatch)
    assert read(ahead, "d1", datums["d1"]) == texts
    assert 5 <= index.asked <= 6  # 5 MB, 1 MiB at a time


def test_the_trouble_of_a_later_datum_is_left_to_it(store, index, monkeypatch):
    writer = store.writer()
    datums = {"d1": put(writer, b"one"), "d2": put(writer, b"two"), "d3": put(writer, b"three")}
    index.publish(writer.seal())
    ahead = ahead_of(store, index, datums, monkeypatch)

    def look_up(inputs: Any, datum: Any) -> list[Found]:
        if datum.id == "d2":
            raise Corrupt("the database lacks a node of a file tree")
        return datums[datum.id]

    monkeypatch.setattr(reading_ahead, "input_files", look_up)
    assert read(ahead, "d1", datums["d1"]) == [b"one"]
    assert ahead.take_found("d2") is None
    assert ahead.take_found("d3") == datums["d3"]


def test_what_the_collector_moved_meanwhile_is_found_all_the_same(store, index, monkeypatch):
    writer = store.writer()
    datums = {"d1": put(writer, b"one"), "d2": put(writer, b"two")}
    index.publish(writer.seal())
    wrong = {digest: place._replace(offset=place.offset + 1) for digest, place in index.items()}
    monkeypatch.setattr(index, "find_chunks", lambda hashes: wrong)
    ahead = ahead_of(store, index, datums, monkeypatch)
    assert read(ahead, "d1", datums["d1"]) + read(ahead, "d2", datums["d2"]) == [b"one", b"two"]


def test_the_next_datums_are_read_up_to_one_that_reads_much_or_waits_for_it(store, index, monkeypatch):
    writer = store.writer()
    large = put(writer, random.Random(0).randbytes(200_000))
    few = put(writer, b"few")
    lazy = [Found("in/0", few[0].entries, is_empty=False, is_lazy=True)]
    name = [Found("in/0", large[0].entries, is_empty=True)]
    for last in (large, lazy):
        datums = {"d1": few, "d2": name, "d3": put(writer, b"", b"few"), "d4": last, "d5": few}
        index.publish(writer.seal())
        ahead = ahead_of(store, index, datums, monkeypatch)
        assert list(ahead.read_next()) == ["d1", "d2", "d3"]
        assert [ahead.bytes_of(each) for each in datums["d3"]] == [b"", b"few"]
        assert ahead.take_found("d1") == few


def test_no_more_is_read_of_the_next_datums_than_there_is_room_for(store, index, monkeypatch):
    monkeypatch.setattr(reading_ahead, "_ALL_BYTES", 10_000)
    writer = store.writer()
    same = put(writer, random.Random(0).randbytes(5_000))
    others = {f"d{number}": put(writer, random.Random(number).randbytes(1_000)) for number in range(10)}
    index.publish(writer.seal())

    def read(datums: dict[str, list[Found]]) -> int:
        return len(ahead_of(store, index, datums, monkeypatch).read_next())

    assert read({f"d{number}": same for number in range(15)}) == 15  # what all read is read once
    assert read({f"d{number}": same for number in range(100)}) == 19  # but each has its name
    assert read(others) == 7
    assert read({id: [*same, *found] for id, found in others.items()}) == 3
    monkeypatch.setattr(reading_ahead, "_ALL_DATUMS", 2)
    assert read(others) == 2


def test_the_next_datums_are_read_up_to_one_whose_file_is_lost_or_was_moved_meanwhile(
    store, index, monkeypatch
):
    writer = store.writer()
    datums = {f"d{number}": put(writer, b"text %d" % number) for number in range(4)}
    index.publish(writer.seal())
    ((digest, _),) = datums["d2"][0].entries[0].content.chunks
    place = index.pop(digest)
    ahead = ahead_of(store, index, datums, monkeypatch)
    for each in (None, place._replace(offset=place.offset + 1)):
        if each is not None:
            index[digest] = each
        next = ahead.read_next()
        assert list(next) == ["d0", "d1"]
        assert [ahead.bytes_of(found) for (found,) in next.values()] == [b"text 0", b"text 1"]
