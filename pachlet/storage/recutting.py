"""Cut a file that is probably like one that is there: where it is, hashing tells, and nothing is cut.

Cutting takes one core and most of the time of putting a large file again. But where a cut lies depends only on the
bytes since the cut before. So bytes that begin at a cut and have the length and the hash of a chunk of the old file are
a chunk of the new one, and its end is the next cut; hashing runs on all cores. Where they differ the file is cut until
a chunk is one of the old ones again, and given up on if that does not happen soon. The result is that of cutting all.

Read next: content.py (who asks), chunker.py (the cut).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from pachlet.storage.chunker import MAX_SIZE, first_chunk
from pachlet.storage.chunks import ChunkStore, ChunkWriter, ended
from pachlet.storage.cutting import put_cut
from pachlet.storage.hashing import Bytes
from pachlet.storage.source import Source

_GIVE_UP = 16
"""After so many new chunks in a row the rest is taken for new."""


def put_like(
    store: ChunkStore, writer: ChunkWriter, source: Source, before: Sequence[tuple[bytes, int]]
) -> Iterator[tuple[bytes, int]]:
    """Store the bytes of a source, probably like those in the chunks `before`; yield hash and length of each chunk."""
    # What ends the old file may have been cut by its end.
    known = before[:-1]
    place = {digest: number for number, (digest, _) in enumerate(known)}
    at = 0
    strange = 0
    while strange < _GIVE_UP:
        for digest, length in _put_known(store, writer, source, known[at:]):
            at, strange = at + 1, 0
            yield digest, length
        chunk = first_chunk(source.take(MAX_SIZE), source.give_back)
        if not chunk:
            return
        digest = writer.put(chunk)
        yield digest, len(chunk)
        at, strange = (place[digest] + 1, 0) if digest in place else (len(known), strange + 1)
    yield from put_cut(writer, source)


def _put_known(
    store: ChunkStore, writer: ChunkWriter, source: Source, known: Sequence[tuple[bytes, int]]
) -> Iterator[tuple[bytes, int]]:
    """Yield chunks for as long as they are the known ones; what is not is given back to the source."""
    pool, coming = store.pool(), iter(known)
    under_way: deque[tuple[Future[bool], bytes, Bytes]] = deque()
    with ended(under_way):
        while True:
            while len(under_way) < 2 * store.threads and (wanted := next(coming, None)) is not None:
                data = source.take(wanted[1])
                if len(data) < wanted[1]:
                    source.give_back(data)
                    break
                under_way.append((pool.submit(writer.put_known, wanted[0], data), wanted[0], data))
            if not under_way:
                return
            same, digest, data = under_way.popleft()
            if not same.result():
                for _, _, later in reversed(under_way):
                    source.give_back(later)
                source.give_back(data)
                return
            yield digest, len(data)
