"""Store large content: while one stretch of it is cut, the next is read and the one before is hashed and written.

The memory that is shared with the cutter is a ring of segments. The cuts are those of `chunker.split`, because a cut
depends only on the bytes since the cut before it: of a segment's chunks only the last may end where it does for want of
more bytes, and so it goes to the head of the next segment and is cut again.

Read next: cutter.py (the process), content.py (who asks).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import count

from pachlet.storage.chunker import MIN_SIZE, split
from pachlet.storage.chunks import ChunkWriter, ended
from pachlet.storage.cutter import HEAD, SEGMENT, SEGMENTS
from pachlet.storage.source import Source

LARGE = 2 * SEGMENT
"""Content from this size on is worth the trouble."""


def put_cut(writer: ChunkWriter, source: Source) -> Iterator[tuple[bytes, int]]:
    """Cut and store all bytes of a source; yield hash and length of each chunk, in order."""
    store = writer.store
    if not source.has(MIN_SIZE + 1):  # most files are one chunk, and need none of what follows
        if data := source.take(MIN_SIZE):
            yield writer.put(data), len(data)
        return
    if store.threads < 2 or not source.has(LARGE):
        yield from writer.put_all(split(source))
        return
    under_way: deque[tuple[Future[bytes], int, int]] = deque()  # hash, length, segment
    with store.cutter() as cutter, ended(under_way):
        if cutter is None:
            yield from writer.put_all(split(source))
            return
        pool = store.pool()
        start = HEAD
        end = HEAD + source.fill(cutter.segment(0)[HEAD:])
        for number in count():
            cutter.begin(number, start, end)
            following = cutter.segment(number + 1)
            is_last, more = end < cutter.size, 0
            if not is_last:
                while under_way and under_way[0][2] <= number + 1 - SEGMENTS:
                    digest, length, _ = under_way.popleft()
                    yield digest.result(), length
                more = source.fill(following[HEAD:])
                if HEAD + more < cutter.size:  # the last
                    store.sync_ahead()
            segment, lengths = cutter.segment(number), cutter.lengths()
            for length in lengths if is_last else lengths[:-1]:
                chunk = segment[start : start + length]
                under_way.append((pool.submit(writer.put, chunk), length, number))
                start += length
            if is_last:
                break
            rest = segment[start:]
            start, end = HEAD - len(rest), HEAD + more
            following[start:HEAD] = rest
        for digest, length, _ in under_way:
            yield digest.result(), length
