"""The rules of content: however bytes arrive, their chunks are the same."""

from __future__ import annotations

import random
import select
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from unittest.mock import patch

import pytest
from fastcdc import fastcdc
from hypothesis import given, settings
from hypothesis import strategies as st

from pachlet.storage import cutter, cutting, recutting
from pachlet.storage.chunker import AVERAGE_SIZE, MAX_SIZE, MIN_SIZE, split
from pachlet.storage.chunks import ChunkStore, Location
from pachlet.storage.content import EMPTY, concat, read_content, write_content, write_content_like
from tests.examples import examples


class Index(dict[bytes, Location]):
    """A chunk index in memory."""

    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)


MIB = 1 << 20


@st.composite
def data(draw: st.DrawFn, least: int = 0, most: int = 12 * MIB) -> bytes:
    """Bytes of a size that has chunks, with stretches that have no landmarks to cut at."""
    source = random.Random(draw(st.integers(0, 20)))
    size = draw(st.integers(least, most))
    blank = draw(st.integers(0, size))
    at = draw(st.integers(0, size - blank))
    return (source.randbytes(size - blank)[:at] + bytes(blank) + source.randbytes(size - blank - at))[:size]


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    """Cut at places, taken modulo the size."""
    ends = sorted({place % (len(whole) + 1) for place in places})
    return [whole[a:b] for a, b in zip([0, *ends], [*ends, len(whole)], strict=True)]


places = st.lists(st.integers(0, 12 * MIB), max_size=6)


@given(data(), places)
def test_chunks_do_not_depend_on_blocks(whole: bytes, ends: list[int]) -> None:
    chunks = list(split([whole]))
    assert b"".join(chunks) == whole
    assert list(split(cut(whole, ends))) == chunks


@settings(max_examples=examples(0.2))
@given(data(least=9 * MIB), places)
def test_chunks_are_those_of_cutting_all_at_once(whole: bytes, ends: list[int]) -> None:
    at_once = fastcdc(whole, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE)
    assert [len(each) for each in split(cut(whole, ends))] == [each.length for each in at_once]


@given(data(), st.integers(0, 12 * MIB))
def test_cutting_restarts_at_any_boundary(whole: bytes, end: int) -> None:
    chunks = list(split([whole]))
    head = list(split([whole[: end % (len(whole) + 1)]]))
    kept = head[:-1]
    assert kept + list(split([whole[sum(map(len, kept)) :]])) == chunks


@given(data(), st.integers(0, 12 * MIB), st.binary(min_size=1, max_size=2000))
def test_an_insert_moves_cuts_and_makes_no_others_than_around_it(
    whole: bytes, place: int, insert: bytes
) -> None:
    place %= len(whole) + 1
    moved = len(insert)
    before = set(accumulate(map(len, split([whole]))))
    after = set(accumulate(map(len, split([whole[:place], insert, whole[place:]]))))
    assert {cut for cut in before if cut < place} == {cut for cut in after if cut < place}
    # From the first cut on that is where one was, all are where they were.
    if met := [cut for cut in after if cut >= place + moved and cut - moved in before]:
        same = min(met)
        assert {cut for cut in after if cut >= same} == {cut + moved for cut in before if cut + moved >= same}


@given(data(), places, st.data())
def test_content_is_canonical(whole: bytes, ends: list[int], choice: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = ChunkStore(Path(folder), Index())
        writer = store.writer()
        content = write_content(writer, [whole])
        pieces = [write_content(writer, [piece]) for piece in cut(whole, ends)]
        assert concat(store, writer, pieces) == content
        grown = EMPTY
        for piece in pieces:
            grown = concat(store, writer, [grown, piece])
        assert grown == content
        offset = choice.draw(st.integers(0, len(whole)))
        size = choice.draw(st.none() | st.integers(0, len(whole)))
        end = len(whole) if size is None else offset + size
        assert b"".join(read_content(store, content, offset, size)) == whole[offset:end]
        store.close()


@given(data(), places, places, st.binary(max_size=9), st.sampled_from([1, 3, 16]))
def test_comparing_with_what_was_there_changes_nothing(
    whole: bytes, edits: list[int], ends: list[int], new: bytes, patience: int
) -> None:
    """Every other piece is dropped, doubled or has something before it; what is stored is as if it were cut anew."""
    pieces = cut(whole, edits)
    changed = b"".join(
        (new + piece, piece, b"", piece * 2)[number % 4] for number, piece in enumerate(pieces)
    )
    with tempfile.TemporaryDirectory() as folder, patch.object(recutting, "_GIVE_UP", patience):
        store = ChunkStore(Path(folder), Index())
        writer = store.writer()
        before = write_content(writer, [whole])
        made = write_content_like(store, writer, cut(changed, ends), before)
        assert made == write_content(store.writer(), [changed])
        assert b"".join(read_content(store, made)) == changed
        assert write_content_like(store, writer, cut(whole, ends), before) == before
        # The end of the old file is no cut of one that goes on.
        for longer in (whole + new, whole + whole[: MIB // 2] + new):
            made = write_content_like(store, writer, cut(longer, ends), before)
            assert made == write_content(store.writer(), [longer])
        store.close()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChunkStore]:
    """A store whose cutter is at work, with small segments."""
    store = ChunkStore(tmp_path_factory.mktemp("packs"), Index(), threads=2)
    with patch.object(cutter, "SEGMENT", MAX_SIZE + MIB), store.cutter() as process:
        assert process is not None
        select.select([process._answers], [], [])
    yield store
    store.close()


@settings(max_examples=examples(0.2))
@given(whole=data(least=1, most=24 * MIB), ends=places)
def test_cutting_in_another_process_changes_nothing(
    started: ChunkStore, whole: bytes, ends: list[int]
) -> None:
    lengths, writer = [len(chunk) for chunk in split([whole])], started.writer()
    with patch.object(cutting, "LARGE", 0), patch.object(cutter, "cut_lengths", None):
        content = write_content(writer, cut(whole, ends))
    assert [length for _, length in content.chunks] == lengths
    assert b"".join(read_content(started, content)) == whole
