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

MIN_SIZE = 256 * 1024
AVERAGE_SIZE = 1024 * 1024
MAX_SIZE = 4 * 1024 * 1024

# So much is gathered before it is cut. What is left uncut is less than MAX_SIZE and is copied along with
# the next load.
_LOAD = 2 * MAX_SIZE


def split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of the bytes in `blocks`, in order; they don't depend on where one block ends.

    Holds at most a load (8 MiB), a block and a chunk at a time. No bytes, no chunks.
    """
    parts: list[bytes | memoryview] = []
    held = 0
    for block in blocks:
        view = memoryview(block)
        for start in range(0, len(view), _LOAD):
            parts.append(view[start : start + _LOAD])
            held += len(parts[-1])
            if held >= _LOAD:
                data = b"".join(parts)
                # With MAX_SIZE bytes ahead no cut can be due to the end of what we hold.
                end = yield from _cut(data, until=len(data) - MAX_SIZE)
                parts = [data[end:]]
                held = len(data) - end
    if held:
        data = b"".join(parts)
        yield from _cut(data, until=len(data))


def first_chunk(data: bytes, give_back: Callable[[bytes], None]) -> bytes:
    """Return the chunk that bytes begin with, and give back the rest; there are `MAX_SIZE` of them or all there are."""
    chunk = next(_cut(data, until=len(data)), b"")
    give_back(data[len(chunk) :])
    return chunk


def _cut(data: bytes, until: int) -> Generator[bytes, None, int]:
    """Yield chunks of `data` until one ends at `until` or behind it; return where it ends."""
    if 0 < len(data) <= MIN_SIZE and until == len(data):
        yield data  # most files are small, and setting up the cutter costs more than hashing them
        return len(data)
    end = 0
    # The cutter holds the GIL for one chunk at a time, about a millisecond.
    for chunk in fastcdc(data, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE):
        yield data[end : end + chunk.length]
        end += chunk.length
        if end >= until:
            break
    return end
