"""Read the small input files of a lease's datums many at a time, those of its next datums with those of this one.

A lease is many datums, and what they read was often put together. A datum's small files read one by one cost more
than the step that reads them.

Read next: local_head.py (who reads), ../storage/together.py (how).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile

from pachlet.errors import PachletError
from pachlet.pfs.files import Files
from pachlet.pps.datum_folder import Found, input_files
from pachlet.pps.leases import Held
from pachlet.storage.together import read_together

_SMALL = 64 * 1024
"""A longer chunk is read when its turn comes."""
_AHEAD_BYTES, _AHEAD_DATUMS = 1 << 20, 128
"""So much is in memory for a lease at most, but for what one datum wants now."""
_ALL_BYTES, _ALL_DATUMS = 4 << 20, 1024
"""The same, where what a lease's next datums want is read at once."""
_EACH = 256
"""Bytes that a file's name and place take in memory, about."""


class ReadingAhead:
    """The files of a lease's datums, for the one thread that works on it."""

    def __init__(self, files: Files, held: Held) -> None:
        self._files = files
        self._held = held
        self._found: dict[str, list[Found]] = {}
        self._chunks: dict[bytes, bytes] = {}

    def take_found(self, datum: str) -> list[Found] | None:
        """Return the files of a datum if they were looked up already."""
        return self._found.pop(datum, None)

    def read(self, datum: str, wanted: Sequence[Found]) -> Iterator[Iterator[bytes]]:
        """Yield the bytes of files of a datum, in order."""
        rest = iter(wanted)
        while some := _some(rest):
            self._fetch(datum, some)
            for each in some:
                yield self._blocks(each)

    def read_next(self) -> dict[str, list[Found]]:
        """Read the files of the next datums, of as many as there is room for; return what each of them has.

        The last is the one before a datum of which not all can be had so: a file is large, or lost, or the step waits
        for what it reads.
        """
        next: dict[str, list[Found]] = {}
        wanted: dict[tuple[bytes, ...], int] = {}
        room = _ALL_BYTES
        for planned in islice(list(self._held.todo.values()), _ALL_DATUMS):
            try:
                found = input_files(self._held.offer.inputs, planned.datum)
            except PachletError:
                break  # it is that datum's trouble, which is told when its turn comes
            self._found[planned.datum.id] = found
            new, is_small = _all_of(found)
            room -= _EACH * len(found) + sum(size for key, size in new.items() if key not in wanted)
            if not is_small or room < 0:
                break
            wanted |= new
            next[planned.datum.id] = found
        try:
            places = self._files.index.find_chunks({digest for key in wanted for digest in key})
            self._chunks = read_together(self._files.store, places)
        except PachletError:
            return {}
        # What was moved just now, or is damaged, is left out: reading it by itself finds it, or says what is wrong.
        return dict(takewhile(lambda pair: self._have(pair[1]), next.items()))

    def _have(self, some: Iterable[Found]) -> bool:
        return all(
            digest in self._chunks for each in some if not each.is_empty for digest, _ in _chunks(each)
        )

    def bytes_of(self, found: Found) -> bytes:
        """Return the bytes of a file that was read."""
        return b"".join(self._chunks[digest] for digest, _ in _chunks(found))

    def _blocks(self, found: Found) -> Iterator[bytes]:
        if found.is_empty:
            return
        for entry in found.entries:
            content = entry.content
            if all(digest in self._chunks for digest, _ in content.chunks):
                yield from [self._chunks[digest] for digest, _ in content.chunks]
            else:
                yield from self._files.read(content)

    def _fetch(self, datum: str, some: Iterable[Found]) -> None:
        """Have the small chunks of these files in memory, and as many of the next datums' as there is room for."""
        small = dict(_small_chunks(some))
        if small.keys() <= self._chunks.keys():
            return
        room = _AHEAD_BYTES - sum(small.values())
        for planned in islice(list(self._held.todo.values()), _AHEAD_DATUMS):
            if room <= 0:
                break
            id = planned.datum.id
            if id != datum:
                try:
                    if id not in self._found:
                        self._found[id] = input_files(self._held.offer.inputs, planned.datum)
                except PachletError:
                    continue  # it is that datum's trouble, which is told when its turn comes
                for digest, size in _small_chunks(self._found[id]):
                    if digest not in small and size <= room:
                        small[digest] = size
                        room -= size
        places = self._files.index.find_chunks(small)
        self._chunks = read_together(self._files.store, places)


def _all_of(some: Iterable[Found]) -> tuple[dict[tuple[bytes, ...], int], bool]:
    """Return the sizes of what files hold, by their chunks, and whether it can be read before anybody asks."""
    sizes, is_small = {}, True
    for found in some:
        chunks = [] if found.is_empty else list(_chunks(found))
        sizes[tuple(digest for digest, _ in chunks)] = sum(size for _, size in chunks)
        is_small = is_small and not found.is_lazy and all(size <= _SMALL for _, size in chunks)
    return sizes, is_small


def _some(rest: Iterator[Found]) -> list[Found]:
    """Return the next files, so many that their small chunks are no more than is read at once."""
    some, size = [], 0
    for each in rest:
        some.append(each)
        size += sum(length for _, length in _small_chunks([each]))
        if size >= _AHEAD_BYTES:
            break
    return some


def _small_chunks(some: Iterable[Found]) -> Iterator[tuple[bytes, int]]:
    for found in some:
        if not found.is_empty and not found.is_lazy:
            yield from (chunk for chunk in _chunks(found) if chunk[1] <= _SMALL)


def _chunks(found: Found) -> Iterator[tuple[bytes, int]]:
    for entry in found.entries:
        yield from entry.content.chunks
