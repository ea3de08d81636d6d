"""Bytes that are to be stored: they come in blocks or from a file, and are taken in whatever lengths suit.

Read next: content.py (who makes one), cutting.py and recutting.py (who take from it).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol, cast

from pachlet.storage.hashing import Bytes


class Readable(Protocol):
    """Blocks that can also be read into memory that is there; that saves making each and copying it."""

    def left(self) -> int:
        """Return how many bytes are probably still to come, 0 where nobody knows."""

    def read_into(self, place: memoryview) -> int:
        """Read the next bytes; return how many, 0 only at the end."""


class Source:
    """Bytes in order; what was taken may be given back."""

    def __init__(self, blocks: Iterable[Bytes]) -> None:
        self._blocks = iter(blocks)
        # Asking a protocol takes longer than storing a small file.
        is_readable = hasattr(self._blocks, "read_into")
        self._readable = cast(Readable, self._blocks) if is_readable else None
        self._held: deque[memoryview] = deque()
        self._is_over = False

    def has(self, length: int) -> bool:
        """Tell whether so many bytes are still to come; a file may turn out to have become shorter since."""
        held = sum(map(len, self._held))
        if self._readable is not None and held + self._readable.left() >= length:
            return True  # and none of it has been read into memory that it is only copied from
        while held < length:
            block = self._next_block()
            if block is None:
                return False
            self._held.append(memoryview(block))
            held += len(block)
        return True

    def take(self, length: int) -> Bytes:
        """Return the next bytes, fewer than asked for only at the end."""
        parts: list[memoryview] = []
        while length and (part := self._next(length)):
            parts.append(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def fill(self, place: memoryview) -> int:
        """Fill memory with the next bytes; return how many, fewer than there is room for only at the end."""
        done = 0
        while done < len(place):
            if not self._held and self._readable is not None:
                count = self._readable.read_into(place[done:])
            else:
                part = self._next(len(place) - done)
                count = len(part)
                place[done : done + count] = part
            if not count:
                break
            done += count
        return done

    def give_back(self, data: Bytes) -> None:
        """Have bytes come next."""
        if data:
            self._held.appendleft(memoryview(data))

    def __iter__(self) -> Iterator[Bytes]:
        while self._held:
            yield self._held.popleft()
        yield from self._blocks

    def _next(self, most: int) -> memoryview:
        """Return the next bytes that lie together, at most so many; none at the end."""
        while not self._held:
            block = self._next_block()
            if block is None:
                return memoryview(b"")
            self.give_back(block)
        part = self._held.popleft()
        self.give_back(part[most:])
        return part[:most]

    def _next_block(self) -> Bytes | None:
        """Return the next block that has bytes, None at the end, which is asked for once: most files are small.

        An empty block is no end: python-pachyderm begins each file with one.
        """
        while not self._is_over:
            block = next(self._blocks, None)
            self._is_over = block is None
            if block:
                return block
        return None
