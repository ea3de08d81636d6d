"""Read many small chunks at once: neighbours in a pack with one read.

Files that were put together lie behind one another in a pack, and are often wanted together. One at a time each costs
a look-up and a read, and in between the thread has to wait until the others let it go on.

Read next: chunks.py (the store), ../pps/reading_ahead.py (who reads so).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pachlet.errors import Corrupt
from pachlet.storage.chunks import ChunkStore, Location
from pachlet.storage.hashing import chunk_hash
from pachlet.storage.packs import find_record, record_end

_GAP = 4096
"""Bytes between two chunks that are rather read than left out."""
_SPAN = 1 << 20


def read_together(store: ChunkStore, places: Mapping[bytes, Location]) -> dict[bytes, bytes]:
    """Return the chunks that lie in these places, each checked against its hash.

    One that is not found there, or is damaged, is left out: `ChunkStore.read` finds where it went, or says what is
    wrong.
    """
    found = {}
    for span in _spans(sorted(places.items(), key=lambda place: place[1])):
        first = span[0][1]
        try:
            data = store.reader(first.pack).read_span(first.offset, record_end(span[-1][1]))
        except Corrupt:  # the pack is missing
            continue
        for digest, location in span:
            record = find_record(data, location.offset - first.offset, digest, location)
            chunk = store.decode(*record, location.length) if record else None
            if chunk is not None and chunk_hash(chunk) == digest:
                found[digest] = chunk
    return found


def _spans(places: Iterable[tuple[bytes, Location]]) -> Iterator[list[tuple[bytes, Location]]]:
    """Part places, sorted, where the next is too far from the one before, or the read gets too large."""
    span: list[tuple[bytes, Location]] = []
    for place in places:
        if span:
            first, last, next = span[0][1], span[-1][1], place[1]
            is_far = next.pack != last.pack or next.offset - record_end(last) > _GAP
            if is_far or record_end(next) - first.offset > _SPAN:
                yield span
                span = []
        span.append(place)
    if span:
        yield span
