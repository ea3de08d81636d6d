"""The chunk store: chunks by hash, each kept once, in pack files.

Where a chunk lies is told by an index that is handed in, because the rows must be published in the same
database transaction as what refers to them. Between its writing and that transaction a chunk is *pending*:
known to the store for as long as a writer holds it, so that two writers at work share chunks that neither
has published. Each of them gets the row of every pending chunk that it refers to, so that either may fail,
or finish first, without harm.

Read next: content.py (files made of chunks).
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard

from pachlet import errors
from pachlet.storage import hashing
from pachlet.storage.packs import (
    RAW,
    ZSTD,
    Location,
    Pack,
    PackReader,
    pack_numbers,
    record_end,
    sync_directory,
)

__all__ = ["ChunkIndex", "ChunkRow", "ChunkStore", "ChunkWriter", "Location"]

PACK_SIZE = 64 * 1024 * 1024
"""A pack that has grown past this gets no more chunks."""

_OPEN_PACKS = 64
# Compressing what gains less than a sixteenth would be paid for at every read. Trying costs little: level 1
# gives up on random bytes at several GB/s.
_LEAST_GAIN = 16
_TOO_SMALL_TO_COMPRESS = 64


class ChunkIndex(Protocol):
    """Where the published chunks lie."""

    def find_chunk(self, hash: bytes) -> Location | None:
        """Return where the chunk lies, None if none of this hash is published. Called from any thread."""


class ChunkRow(NamedTuple):
    """What the index must learn of one chunk."""

    hash: bytes
    location: Location


class _Pending:
    """A chunk in a pack that the index does not know yet; lives as long as a writer refers to it."""

    __slots__ = ("__weakref__", "location", "pack")

    def __init__(self, location: Location, pack: Pack) -> None:
        self.location = location
        self.pack = pack


class ChunkStore:
    """The chunks in one directory, for one process at a time; every method is safe from any thread."""

    def __init__(self, directory: Path, index: ChunkIndex, pack_size: int = PACK_SIZE) -> None:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            sync_directory(directory.parent)
        self.directory = directory
        self._index = index
        self._pack_size = pack_size
        self._lock = threading.Lock()
        # Never an existing pack: it may end in a record that a crash tore.
        self._next_number = max(pack_numbers(directory), default=0) + 1
        self._current: Pack | None = None
        self._pending: weakref.WeakValueDictionary[bytes, _Pending] = weakref.WeakValueDictionary()
        self._readers: OrderedDict[int, PackReader] = OrderedDict()
        self._threads = threading.local()

    def writer(self) -> ChunkWriter:
        """Return a writer, for one thread at a time and one transaction."""
        return ChunkWriter(self)

    def read(self, hash: bytes) -> bytes:
        """Return a chunk, pending or published, having checked it against its hash.

        Raises:
            Corrupt: the chunk is missing or damaged.
        """
        pending = self.find_pending(hash)
        location = pending.location if pending else self._index.find_chunk(hash)
        if location is None:
            raise errors.Corrupt(f"chunk {hash.hex()} is not in the store")
        pack = self._reader(location.pack)
        codec, payload = pack.read(hash, location)
        data = self._decode(codec, payload, location.length)
        if data is None or hashing.chunk_hash(data) != hash:
            raise pack.damage(location.offset)
        return data

    def close(self) -> None:
        """Let go of open files. Unpublished chunks are lost, as in a crash."""
        with self._lock:
            self._current = None
            self._readers.clear()
            self._pending.clear()

    def find_pending(self, hash: bytes) -> _Pending | None:
        """Return a chunk that some writer holds and the index may not know."""
        with self._lock:
            return self._pending.get(hash)

    def find_published(self, hash: bytes) -> Location | None:
        """Return where the index says that a chunk lies."""
        return self._index.find_chunk(hash)

    def add(self, hash: bytes, codec: int, payload: bytes, length: int) -> _Pending:
        """Append a chunk to the current pack, unless another writer was faster."""
        with self._lock:
            pending = self._pending.get(hash)
            if pending is None:
                pack = self._current
                if pack is None or pack.failed or pack.end >= self._pack_size:
                    number, self._next_number = self._next_number, self._next_number + 1
                    pack = self._current = Pack(self.directory, number)
                pending = _Pending(pack.append(hash, codec, payload, length), pack)
                self._pending[hash] = pending
            return pending

    def _reader(self, number: int) -> PackReader:
        with self._lock:
            reader = self._readers.get(number)
            if reader is None:
                reader = self._readers[number] = PackReader(self.directory, number)
                if len(self._readers) > _OPEN_PACKS:
                    # A thread that is reading from it keeps it open until it is done.
                    self._readers.popitem(last=False)
            else:
                self._readers.move_to_end(number)
            return reader

    def _decode(self, codec: int, payload: bytes, length: int) -> bytes | None:
        """Return the chunk's bytes, None if they can't be had."""
        if codec == RAW:
            return payload
        if codec != ZSTD:
            return None
        decompressor: zstandard.ZstdDecompressor | None = getattr(self._threads, "decompressor", None)
        if decompressor is None:
            decompressor = self._threads.decompressor = zstandard.ZstdDecompressor()
        try:
            # Frames are written without their size, so that a damaged one can't ask for more than `length`
            # bytes.
            return decompressor.decompress(payload, max_output_size=length)
        except zstandard.ZstdError:
            return None


class ChunkWriter:
    """Puts chunks into the store and remembers which rows must be published for them."""

    def __init__(self, store: ChunkStore) -> None:
        self._store = store
        self._held: dict[bytes, _Pending] = {}
        self._compressor = zstandard.ZstdCompressor(level=1, write_content_size=False)

    def put(self, data: bytes) -> bytes:
        """Store a chunk, once however often it is put, and return its hash; `seal` makes it durable."""
        digest = hashing.chunk_hash(data)
        if digest in self._held:
            return digest
        pending = self._store.find_pending(digest)
        if pending is None:
            if self._store.find_published(digest) is not None:
                return digest
            codec, payload = self._encode(data)
            pending = self._store.add(digest, codec, payload, len(data))
        self._held[digest] = pending
        return digest

    def seal(self) -> list[ChunkRow]:
        """Make all that was put durable and return the rows of what the index does not know.

        The caller inserts the rows (ignoring those that another writer published first) in the transaction
        that publishes what refers to them, and keeps the writer until then. May be called again after
        further puts; it then returns the earlier rows as well.
        """
        ends: dict[Pack, int] = {}
        for pending in self._held.values():
            ends[pending.pack] = max(ends.get(pending.pack, 0), record_end(pending.location))
        for pack, end in ends.items():
            pack.sync(end)
        return [ChunkRow(digest, pending.location) for digest, pending in self._held.items()]

    def _encode(self, data: bytes) -> tuple[int, bytes]:
        if len(data) > _TOO_SMALL_TO_COMPRESS:
            packed = self._compressor.compress(data)
            if len(packed) < len(data) - len(data) // _LEAST_GAIN:
                return ZSTD, packed
        return RAW, data
