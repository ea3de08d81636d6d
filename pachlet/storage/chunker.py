"""Cut a stream of bytes into chunks where the content itself says so (FastCDC).

An insert moves the bytes that follow but not the places where they are cut, so the chunks after it are
found in the store again. The cut depends only on the bytes since the cut before it: therefore a file can be
appended to by cutting again from its last boundary, and equal content has equal chunks however it arrived.
Sizes are 256 KiB to 4 MiB, 1 MiB on average: measured, hashing and packing cost the same from 256 KiB to 4
MiB, and a smaller average means more rows.

Read next: content.py (files as lists of chunks), packs.py (where chunks lie).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

from fastcdc import fastcdc

from pachlet.storage.hashing import Bytes

MIN_SIZE = 256 * 1024
AVERAGE_SIZE = 1024 * 1024
MAX_SIZE = 4 * 1024 * 1024

# Small blocks are gathered to so much before they are cut. At the end of each load less than MAX_SIZE stays uncut, and
# is copied along with what comes next, as far as it takes to cut it.
_LOAD = 2 * MAX_SIZE


def split(blocks: Iterable[Bytes]) -> Iterator[Bytes]:
    """Yield the chunks of the bytes in `blocks`, in order; they don't depend on where one block ends.

    Holds at most a load (8 MiB), what was left of the one before (4 MiB) and a block at a time. A chunk is a view of
    its block, because copying takes about as long as cutting, and so a block stays for as long as a chunk of it does.
    No bytes, no chunks.
    """
    rest: Bytes = b""
    for load in _loads(blocks):
        if len(load) < _LOAD:  # the last
            rest = b"".join((rest, load))
            break
        # With MAX_SIZE bytes ahead no cut can be due to the end of what we hold.
        seam = b"".join((rest, load[:MAX_SIZE])) if rest else b""
        end = yield from _cut(seam, until=len(rest))
        load = load[end - len(rest) :]
        end = yield from _cut(load, until=len(load) - MAX_SIZE)
        rest = load[end:]
    yield from _cut(rest, until=len(rest))


def _loads(blocks: Iterable[Bytes]) -> Iterator[memoryview]:
    """Yield large blocks as they are and small ones joined; only the last may be smaller than a load."""
    parts: list[Bytes] = []
    held = 0
    for block in blocks:
        parts.append(block)
        held += len(block)
        if held >= _LOAD:
            yield memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
            parts, held = [], 0
    if held:
        yield memoryview(b"".join(parts))


def cut_lengths(data: Bytes) -> list[int]:
    """Return the length of each chunk of these bytes."""
    return [chunk.length for chunk in fastcdc(data, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE)]


def first_chunk(data: Bytes, give_back: Callable[[Bytes], None]) -> Bytes:
    """Return the chunk that bytes begin with, and give back the rest; there are `MAX_SIZE` of them or all there are."""
    chunk = next(_cut(data, until=len(data)), b"")
    give_back(memoryview(data)[len(chunk) :])
    return chunk


def _cut(data: Bytes, until: int) -> Generator[Bytes, None, int]:
    """Yield chunks of `data` until one ends at `until` or behind it; return where it ends. No bytes, no chunks."""
    if not data:
        return 0
    if len(data) <= MIN_SIZE and until == len(data):
        yield data  # most files are small, and setting up the cutter costs more than hashing them
        return len(data)
    end, view = 0, memoryview(data)
    # The cutter holds the GIL for one chunk at a time, about a millisecond.
    for chunk in fastcdc(data, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE):
        yield view[end : end + chunk.length]
        end += chunk.length
        if end >= until:
            break
    return end
