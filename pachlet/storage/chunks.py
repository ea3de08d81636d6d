"""The chunk store: chunks by hash, each kept once, in pack files.

Where a chunk lies is told by an index that is handed in, because the rows must be published in the same
database transaction as what refers to them. Between its writing and that transaction a chunk is *pending*:
known to the store for as long as a writer holds it, so that two writers at work share chunks that neither
has published. Each of them gets the row of every pending chunk that it refers to, so that either may fail,
or finish first, without harm.

A writer that comes upon a published chunk *leans* on it, and the garbage collector spares what living writers
lean on. Looking a chunk up and leaning on it is one step under a lock (`ChunkStore.leaning`) that the
collector holds while it forgets chunks: either it sees that somebody leans, or nobody finds the chunk.

A published chunk that was found damaged, or whose pack is missing or too short for it, is written anew when
its bytes are put again: a put that leaned on it would acknowledge what can't be read. The new row names the
place that it *replaces*, so that it heals all that shares the chunk and can't undo what others did meanwhile.

Read next: content.py (files made of chunks), removing.py (how chunks go).
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import zstandard

from pachlet import errors
from pachlet.config import default_workers
from pachlet.storage import hashing
from pachlet.storage.cutter import Cutter
from pachlet.storage.hashing import Bytes
from pachlet.storage.leases import Leases
from pachlet.storage.packs import (
    RAW,
    WIPED,
    ZSTD,
    Location,
    NewChunk,
    Pack,
    PackReader,
    pack_numbers,
    pack_path,
    record_end,
    split_pack,
    sync_directory,
)
from pachlet.storage.tombstones import Tombstone, Tombstones, gone

__all__ = ["ChunkIndex", "ChunkRow", "ChunkStore", "ChunkWriter", "Location"]

PACK_SIZE = 64 * 1024 * 1024
"""A pack that has grown past this gets no more chunks."""

UPKEEP_PATIENCE = 5.0  # seconds
_OPEN_PACKS = 64
# The disk has nothing to do between two syncs, so one at a time fell behind the writing: 0.2 s for 1 GiB.
_SYNCS = 3
# Compressing what gains less than a sixteenth would be paid for at every read.
_LEAST_GAIN = 16
# Finding that out costs more than hashing (1.7 GB/s for random bytes), so large chunks are sampled first.
_TOO_LARGE_TO_TRY = 256 * 1024
_SAMPLE = 16 * 1024
_TOO_SMALL_TO_COMPRESS = 64
# Alone, looking a small chunk up and writing it takes longer than all else that is done for a small file. There may be
# hundreds of writers, of which each waits for somebody who sends slowly.
_MOST_LATER = 256
_ROOM_LATER = 256 << 10  # bytes, besides the one that takes what is left of it


class ChunkIndex(Protocol):
    """Where the published chunks lie."""

    def find_chunk(self, hash: bytes) -> Location | None:
        """Return where the chunk lies, None if none of this hash is published. Called from any thread."""

    def find_chunks(self, hashes: Iterable[bytes]) -> dict[bytes, Location]:
        """Return where chunks lie, by hash; those that are not published are left out. Called from any thread."""


class ChunkRow(NamedTuple):
    """What the index must learn of one chunk."""

    hash: bytes
    location: Location
    replaces: Location | None = None
    """The place where the chunk was damaged or missing: a row that names it is to name the new one."""


class _Pending:
    """A chunk in a pack that the index does not know yet; lives as long as a writer refers to it."""

    __slots__ = ("__weakref__", "location", "pack", "replaces")

    def __init__(self, location: Location, pack: Pack, replaces: Location | None) -> None:
        self.location = location
        self.pack = pack
        self.replaces = replaces


class ChunkStore:
    """The chunks in one directory, for one process at a time; every method is safe from any thread."""

    def __init__(
        self,
        directory: Path,
        index: ChunkIndex,
        pack_size: int = PACK_SIZE,
        threads: int | None = None,
        last_pack: int = 0,
        tombstones: Tombstones | None = None,
    ) -> None:
        """Open the store; `last_pack` is the highest pack that the index names, be it there or lost."""
        self.tombstones = Tombstones() if tombstones is None else tombstones
        if not directory.is_dir():
            directory.mkdir(parents=True)
            sync_directory(directory.parent)
        self.directory = directory
        self._index = index
        self.pack_size = pack_size
        self._lock = threading.Lock()
        # Never an existing pack: it may end in a record that a crash tore. Nor one that is lost: where the
        # index says that chunks of it lie there would be others.
        self._next_number = max([last_pack, *pack_numbers(directory)]) + 1
        self._current: Pack | None = None
        self._pending: weakref.WeakValueDictionary[bytes, _Pending] = weakref.WeakValueDictionary()
        self._damaged: dict[bytes, Location] = {}
        self._readers: OrderedDict[int, PackReader] = OrderedDict()
        self._threads = threading.local()
        self._writers: weakref.WeakSet[ChunkWriter] = weakref.WeakSet()
        self.leases = Leases()
        self.leaning = threading.Lock()
        """Held while a writer looks up a published chunk and leans on it, and while chunks are forgotten.
        A thread that needs a write transaction as well begins that first."""
        self._upkeep = threading.Lock()
        self.threads = default_workers() if threads is None else threads
        self._pool: ThreadPoolExecutor | None = None
        self._syncing: ThreadPoolExecutor | None = None
        self._idle_cutter: Cutter | None = None
        self._cutters = threading.BoundedSemaphore(max(1, self.threads))

    def writer(self) -> ChunkWriter:
        """Return a writer, for one thread at a time and one transaction."""
        writer = ChunkWriter(self)
        with self._lock:
            self._writers.add(writer)
        return writer

    def writers(self) -> list[ChunkWriter]:
        """Return the writers at work."""
        with self._lock:
            return list(self._writers)

    def read(self, hash: bytes) -> bytes:
        """Return a chunk, pending or published, having checked it against its hash.

        Raises:
            Purged: it was purged.
            Corrupt: the chunk is missing or damaged.
        """
        tried: Location | None = None
        while True:
            pending = self.find_pending(hash)
            location = pending.location if pending else self._index.find_chunk(hash)
            if location is None:
                self._tell_purged(hash)
                raise errors.Corrupt(
                    f"chunk {hash.hex()} is not in the store",
                    hint="if what you read was just deleted, that is why; otherwise `pachctl fsck` says more",
                )
            try:
                data = self.read_at(hash, location)
            except errors.Corrupt:
                # The collector may have moved it between the two steps.
                if location == tried:
                    self._tell_purged(hash)
                    raise
                tried = location
                continue
            if pending is None and hash in self._damaged:
                with self._lock:
                    self._damaged.pop(hash, None)
            return data

    def _tell_purged(self, hash: bytes) -> None:
        found = self.tombstones.get(hash)
        if found is not None:
            raise gone(found)

    def purged(self, hashes: Iterable[bytes]) -> Tombstone | None:
        """Return the tombstone of the first of some chunks that was purged, and not put again since."""
        for hash in hashes if self.tombstones else ():
            found = self.tombstones.get(hash)
            if found is not None and self._index.find_chunk(hash) is None:
                return found
        return None

    def bury(self, tombstone: Tombstone, hashes: Collection[bytes]) -> None:
        """Give chunks a tombstone; from here on none of them gets into a pack, but what did before is there."""
        with self._lock:
            self.tombstones.put(tombstone, hashes)
            for hash in hashes:
                self._pending.pop(hash, None)

    def read_all(self, hashes: Iterable[bytes]) -> Iterator[bytes]:
        """Yield chunks in order, as `read` does; some that come next are read and checked meanwhile.

        At most one chunk more than there are cores is in memory at a time. A single one is read right here.
        """
        hashes = iter(hashes)
        first = list(islice(hashes, 2))
        if len(first) < 2 or self.threads < 2:
            yield from map(self.read, chain(first, hashes))
            return
        pool, under_way = self.pool(), deque[Future[bytes]]()
        for hash in chain(first, hashes):
            under_way.append(pool.submit(self.read, hash))
            if len(under_way) > self.threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def read_at(self, hash: bytes, location: Location) -> bytes:
        """Return the chunk that should lie at a place, having checked it; raise Corrupt, and remember that."""
        try:
            pack = self.reader(location.pack)
            codec, payload = pack.read(hash, location)
            data = self.decode(codec, payload, location.length)
            if data is None or hashing.chunk_hash(data) != hash:
                raise pack.damage(location.offset)
        except errors.Corrupt:
            with self._lock:
                self._damaged[hash] = location
            raise
        return data

    def is_sound(self, number: int, end: int) -> bool:
        """Tell whether every chunk of a pack up to an offset is as it was written; reads the pack at one go."""
        try:
            data = pack_path(self.directory, number).read_bytes()[:end]
        except OSError:  # missing, or a bad sector
            return False
        records = split_pack(data) if len(data) == end else None
        return records is not None and all(
            codec == WIPED
            or (
                (found := self.decode(codec, payload, length)) is not None
                and hashing.chunk_hash(found) == digest
            )
            for digest, codec, length, payload in records
        )

    def is_damaged(self, hash: bytes, location: Location) -> bool:
        """Tell whether the chunk was found damaged at this place."""
        return self._damaged.get(hash) == location

    def is_lost(self, hash: bytes, location: Location, lengths: dict[int, int]) -> bool:
        """Tell whether a published chunk is known to be damaged, or its pack is missing or ends before it.

        `lengths` has what the caller has been told of packs before, so that it takes one look at each.
        """
        found = self._damaged.get(hash)
        if found == location:
            return True
        if found is not None:  # it was repaired
            with self._lock:
                self._damaged.pop(hash, None)
        end = record_end(location)
        if lengths.get(location.pack, 0) < end:  # a pack may have grown since
            try:
                lengths[location.pack] = pack_path(self.directory, location.pack).stat().st_size
            except FileNotFoundError:
                return True
        return lengths[location.pack] < end

    def lost_of(self, places: Mapping[bytes, Location], lengths: dict[int, int]) -> set[bytes]:
        """Return those of some published chunks of which `is_lost` is true."""
        damaged, before = self._damaged, lengths.get
        return {
            hash
            for hash, place in places.items()
            if (hash in damaged or before(place.pack, 0) < record_end(place))
            and self.is_lost(hash, place, lengths)
        }

    def encode(self, data: Bytes) -> tuple[int, Bytes]:
        """Return codec and payload of a chunk; for any thread."""
        if len(data) > _TOO_SMALL_TO_COMPRESS and self._may_shrink(data):
            packed = self._compressor().compress(data)
            if len(packed) < len(data) - len(data) // _LEAST_GAIN:
                return ZSTD, packed
        return RAW, data

    def _may_shrink(self, data: Bytes) -> bool:
        """Tell from samples of a large chunk whether compressing it is worth a try."""
        if len(data) < _TOO_LARGE_TO_TRY:
            return True
        middle = len(data) // 2
        for sample in (data[:_SAMPLE], data[middle : middle + _SAMPLE], data[-_SAMPLE:]):
            if len(self._compressor().compress(sample)) < _SAMPLE - _SAMPLE // _LEAST_GAIN:
                return True
        return False

    def _compressor(self) -> zstandard.ZstdCompressor:
        """Return this thread's compressor."""
        compressor: zstandard.ZstdCompressor | None = getattr(self._threads, "compressor", None)
        if compressor is None:
            compressor = zstandard.ZstdCompressor(level=1, write_content_size=False)
            self._threads.compressor = compressor
        return compressor

    def pool(self) -> ThreadPoolExecutor:
        """Return the threads that hash and compress."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="chunks")
            return self._pool

    @contextlib.contextmanager
    def cutter(self) -> Iterator[Cutter | None]:
        """Have a process that cuts, None where there can be none; the last one is kept for the next content.

        There are no more at a time than threads: each has its memory, and more would only take turns.
        """
        if not self._cutters.acquire(blocking=False):
            yield None
            return
        try:
            yield from self._cutter()
        finally:
            self._cutters.release()

    def _cutter(self) -> Iterator[Cutter | None]:
        with self._lock:
            cutter, self._idle_cutter = self._idle_cutter, None
        try:
            cutter = cutter or Cutter()
        except OSError:  # too many processes, or no memory
            yield None
            return
        try:
            yield cutter
        except BaseException:  # its memory may still be read from, and its answer be under way
            cutter.close()
            raise
        self._keep(cutter)

    def _keep(self, cutter: Cutter) -> None:
        """Keep a cutter for the next content, unless there is one."""
        with self._lock:
            spare, self._idle_cutter = self._idle_cutter, cutter
        if spare is not None:
            spare.close()

    def rest(self) -> Future[None] | None:
        """Begin to give back the cutter's memory, unless somebody cuts: a writer that waits for the disk has the time.

        The next file of the same put finds it as it is: having memory anew takes longer than hashing what goes there.
        A put that breaks off between two files leaves it to whoever seals next.
        """
        with self._lock:
            cutter = self._idle_cutter
            if cutter is None or not cutter.is_used:
                return None
            self._idle_cutter = None
        return self.pool().submit(self._forget, cutter)

    def _forget(self, cutter: Cutter) -> None:
        if cutter.forget():
            self._keep(cutter)
        else:
            cutter.close()

    def close(self) -> None:
        """Let go of open files. Unpublished chunks are lost, as in a crash."""
        with self._lock:
            self._current = None
            self._readers.clear()
            self._pending.clear()
            pools = [pool for pool in (self._pool, self._syncing) if pool is not None]
            self._pool = self._syncing = None
        for pool in pools:
            pool.shutdown()
        with self._lock:
            cutter, self._idle_cutter = self._idle_cutter, None
        if cutter is not None:
            cutter.close()

    @contextlib.contextmanager
    def upkeep(self) -> Iterator[None]:
        """Be the only one who moves or removes packs, or needs them to stay.

        Raises:
            FailedPrecondition: somebody else is.
        """
        # One whose client has just gone away takes a moment to end.
        if not self._upkeep.acquire(timeout=UPKEEP_PATIENCE):
            raise errors.FailedPrecondition(
                "a collection, a backup or a purge is running", hint="try again when it is over"
            )
        try:
            yield
        finally:
            self._upkeep.release()

    def find_pending(self, hash: bytes) -> _Pending | None:
        """Return a chunk that some writer holds and the index may not know."""
        with self._lock:
            return self._pending.get(hash)

    def find_all_pending(self, hashes: Iterable[bytes]) -> dict[bytes, _Pending]:
        """Return those of some chunks that a writer holds."""
        with self._lock:
            if not self._pending:
                return {}
            return {hash: found for hash in hashes if (found := self._pending.get(hash)) is not None}

    def find_published(self, hash: bytes) -> Location | None:
        """Return where the index says that a chunk lies."""
        return self._index.find_chunk(hash)

    def find_all_published(self, hashes: Iterable[bytes]) -> dict[bytes, Location]:
        """Return where the index says that chunks lie; those that it does not know are left out."""
        return self._index.find_chunks(hashes)

    def add(
        self, hash: bytes, codec: int, payload: Bytes, length: int, replaces: Location | None
    ) -> _Pending:
        """Append a chunk to the current pack, unless another writer was faster; `replaces` is where it is lost."""
        with self._lock:
            self.tombstones.refuse(hash)
            pending = self._pending.get(hash)
            if pending is None or self.is_damaged(hash, pending.location):
                pack = self._pack_to_fill()
                pending = _Pending(pack.append(hash, codec, payload, length), pack, replaces)
                self._pending[hash] = pending
            return pending

    def add_together(
        self, chunks: Sequence[NewChunk], replaces: Mapping[bytes, Location]
    ) -> dict[bytes, _Pending]:
        """Append small chunks, no two the same, as `add` does one; return them by hash."""
        with self._lock:
            there = {}
            for each in chunks:
                self.tombstones.refuse(each.digest)
                pending = self._pending.get(each.digest)
                if pending is not None and not self.is_damaged(each.digest, pending.location):
                    there[each.digest] = pending
            new = [each for each in chunks if each.digest not in there]
            while new:
                pack = self._pack_to_fill()
                places = pack.append_together(new, self.pack_size)
                for each, place in zip(new, places, strict=False):
                    pending = _Pending(place, pack, replaces.get(each.digest))
                    there[each.digest] = self._pending[each.digest] = pending
                new = new[len(places) :]
            return there

    def _pack_to_fill(self) -> Pack:
        pack = self._current
        if pack is None or pack.failed or pack.end >= self.pack_size:
            if pack is not None and not pack.failed:
                self._begin_sync(pack)
            pack = self._current = self._new_pack()
        return pack

    def new_pack(self) -> Pack:
        """Begin a pack that only the caller writes to."""
        with self._lock:
            return self._new_pack()

    def idle_packs(self) -> list[int]:
        """Return the packs in which no chunk is pending: each of their rows is in the index."""
        with self._lock:
            return self._idle_packs()

    def turn_page(self) -> list[int]:
        """Have whatever is written next go to a new pack; return the idle ones, into which nothing will come any more.

        At one go: a pack that is begun in between may be idle for a moment, too.
        """
        with self._lock:
            self._current = None
            return self._idle_packs()

    def _idle_packs(self) -> list[int]:
        busy = {pending.pack.number for pending in self._pending.values()}
        return [number for number in pack_numbers(self.directory) if number not in busy]

    def forget_pack(self, number: int) -> None:
        """Let go of a pack whose file is gone, so that the disk gets its space."""
        with self._lock:
            self._readers.pop(number, None)

    def sync_ahead(self) -> None:
        """Have what is in the current pack written to disk while more comes."""
        with self._lock:
            if self._current is not None and not self._current.failed:
                self._begin_sync(self._current)

    def _begin_sync(self, pack: Pack) -> None:
        """Have a full pack written to disk while the next one is filled; whoever seals it hears of errors."""
        if self._syncing is None:
            self._syncing = ThreadPoolExecutor(_SYNCS, thread_name_prefix="sync")
        self._syncing.submit(pack.sync, pack.end)

    def _new_pack(self) -> Pack:
        number, self._next_number = self._next_number, self._next_number + 1
        return Pack(self.directory, number)

    def reader(self, number: int) -> PackReader:
        """Return a pack, open for reading; raise Corrupt if it is missing."""
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

    def decode(self, codec: int, payload: bytes, length: int) -> bytes | None:
        """Return the bytes of a chunk out of its record, None if they can't be had."""
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


@contextlib.contextmanager
def ended(under_way: Iterable[tuple[Future[Any], *tuple[Any, ...]]]) -> Iterator[None]:
    """See to it that nothing is under way when the block ends, however it ends: what is would keep its writer."""
    try:
        yield
    finally:
        left = [future for future, *_ in under_way]
        for future in left:
            future.cancel()
        wait(left)


class ChunkWriter:
    """Puts chunks into the store and remembers which rows must be published for them.

    For as long as it lives, the collector leaves alone what it put and what it leans on.
    """

    def __init__(self, store: ChunkStore) -> None:
        self.store = store
        self._held: dict[bytes, _Pending] = {}
        self._found: set[bytes] = set()
        self._leans_on: set[bytes] = set()
        self._lost: dict[bytes, Location] = {}
        self._lengths: dict[int, int] = {}
        self._later: dict[bytes, Bytes] = {}
        self._room_later = _ROOM_LATER

    def put(self, data: Bytes) -> bytes:
        """Store a chunk, once however often it is put, and return its hash; `seal` makes it durable."""
        digest = hashing.chunk_hash(data)
        if not self._has(digest):
            self._add(digest, self.store.encode(data), len(data))
        return digest

    def put_later(self, data: Bytes) -> bytes:
        """Return the hash of a small chunk; it is stored together with others, by `seal` if not before.

        Until then nobody can read it. What is wrong with it is told by whichever call stores it.
        """
        digest = hashing.chunk_hash(data)
        if digest not in self._later:
            self._later[digest] = data
            self._room_later -= len(data)
            if self._room_later <= 0 or len(self._later) >= _MOST_LATER:
                self._store_later()
        return digest

    def _store_later(self) -> None:
        """Store what is to be stored, all of which stays to be stored if that fails."""
        if not self._later:
            return
        self._store(self._later)
        self._later, self._room_later = {}, _ROOM_LATER

    def put_together(self, pieces: Sequence[bytes], *, are_new: bool = False) -> list[bytes]:
        """Store many small chunks, which are looked for and written at one go; return their hashes, in order.

        What has no bytes is not stored. Those that `are_new`, as nobody can have put these bytes before, are not looked
        for among the published.
        """
        digests = [hashing.chunk_hash(data) for data in pieces]
        chunks = {digest: data for digest, data in zip(digests, pieces, strict=True) if data}
        self._store(chunks, are_new=are_new)
        return digests

    def _store(self, chunks: Mapping[bytes, Bytes], *, are_new: bool = False) -> None:
        """Store small chunks, by hash, at one go."""
        there = set() if are_new else self._has_some(chunks)
        new = [
            NewChunk(digest, *self.store.encode(data), len(data))
            for digest, data in chunks.items()
            if digest not in there
        ]
        self._held.update(self.store.add_together(new, self._lost))

    def put_known(self, digest: bytes, data: Bytes) -> bool:
        """Store a chunk if it is the one of this hash; tell whether it is."""
        if hashing.chunk_hash(data) != digest:
            return False
        if not self._has(digest):
            self._add(digest, self.store.encode(data), len(data))
        return True

    def put_all(self, chunks: Iterable[Bytes]) -> Iterator[tuple[bytes, int]]:
        """Store chunks and yield hash and length of each, in order; all cores hash, compress and write.

        At most two chunks for each core are in memory at a time. A single chunk is stored right here: handing
        it to a thread would cost a small file more than hashing it.
        """
        chunks = iter(chunks)
        first = list(islice(chunks, 2))
        if len(first) < 2 or self.store.threads < 2:
            for data in chain(first, chunks):
                yield self.put(data), len(data)
            return
        pool = self.store.pool()
        under_way: deque[tuple[Future[bytes], int]] = deque()
        with ended(under_way):
            for data in chain(first, chunks):
                under_way.append((pool.submit(self.put, data), len(data)))
                if len(under_way) >= 2 * self.store.threads:
                    digest, length = under_way.popleft()
                    yield digest.result(), length
            for digest, length in under_way:
                yield digest.result(), length

    def lean_on(self, hashes: Iterable[bytes]) -> None:
        """Refer to chunks that are there already, so that they stay until what refers to them is published.

        A damaged one is referred to as well: it is healed everywhere once its bytes are put again.

        Raises:
            Unavailable: one of them is gone, with the commit that it was read from.
        """
        unknown = [digest for digest in dict.fromkeys(hashes) if not self.needs(digest)]
        there = self._has_some(unknown, even_lost=True)
        # What refers to purged bytes tells their tombstone; there is nothing to keep.
        if not all(digest in there or self.store.tombstones.get(digest) for digest in unknown):
            raise errors.Unavailable(
                "what is being copied was deleted and collected meanwhile",
                hint="copy from another commit",
            )

    def needs(self, digest: bytes) -> bool:
        """Tell whether what this writer will publish refers to a chunk; for any thread."""
        return self.has_put(digest) or digest in self._leans_on

    def has_put(self, digest: bytes) -> bool:
        """Tell whether a chunk was put, and not only referred to; for any thread."""
        # In this order: what waits is held, or found, before it waits no more.
        return digest in self._later or digest in self._held or digest in self._found

    def put_so_far(self) -> list[bytes]:
        """Return the hashes of all chunks that were put up to the last `seal`.

        Whoever publishes what refers to them looks whether they are still there: they may have been purged meanwhile.
        """
        return [*self._held, *self._found]

    def seal(self) -> list[ChunkRow]:
        """Make all that was put durable and return the rows of what the index does not know.

        The caller inserts the rows in the transaction that publishes what refers to them, and keeps the
        writer until then. Where another writer published first, its row stays, unless it names the place
        that ours replaces. May be called again after further puts; it then returns the earlier rows as well.
        """
        self._store_later()
        self.store.rest()
        ends: dict[Pack, int] = {}
        for pending in self._held.values():
            ends[pending.pack] = max(ends.get(pending.pack, 0), record_end(pending.location))
        for pack, end in ends.items():
            pack.sync(end)
        return [ChunkRow(digest, held.location, held.replaces) for digest, held in self._held.items()]

    def _has(self, digest: bytes) -> bool:
        """Tell whether a chunk is there, pending or published, and see to it that it stays.

        One that can't be read is not there.
        """
        is_pending = self._holds(digest)
        if is_pending is not None:
            return is_pending
        with self.store.leaning:
            location = self.store.find_published(digest)
            return location is not None and self._leans(digest, location)

    def _has_some(self, digests: Iterable[bytes], *, even_lost: bool = False) -> set[bytes]:
        """Return those of the chunks that are there, as `_has` tells of one; with `even_lost` if they can't be read."""
        digests = list(digests)
        maybe = {*self.store.find_all_pending(digests), *(each for each in digests if each in self._held)}
        if not even_lost and self.store.tombstones:
            maybe.update(digests)  # each is looked at, as it may have to be refused
        held = {digest: self._holds(digest, even_lost=even_lost) for digest in maybe}
        there = {digest for digest, is_held in held.items() if is_held}
        unknown = [digest for digest in digests if held.get(digest) is None]
        if unknown:
            with self.store.leaning:
                places = self.store.find_all_published(unknown)
                lost = set() if even_lost else self.store.lost_of(places, self._lengths)
                for digest in lost:
                    self._lost[digest] = places.pop(digest)
                (self._leans_on if even_lost else self._found).update(places)
            there.update(places)
        return there

    def _holds(self, digest: bytes, *, even_lost: bool = False) -> bool | None:
        """Hold a chunk that is pending; tell whether it can be read, None if it is not pending.

        Raises:
            Purged: its bytes may not be stored again; whoever asks wants them there, not only what refers to them.
        """
        if not even_lost:
            self.store.tombstones.refuse(digest)
        pending = self._held.get(digest) or self.store.find_pending(digest)
        if pending is None:
            return None
        if even_lost or not self.store.is_damaged(digest, pending.location):
            self._held[digest] = pending
            return True
        self._lost[digest] = pending.location
        return False

    def _leans(self, digest: bytes, location: Location) -> bool:
        """Lean on a published chunk, if it can be read; tell whether it can."""
        if self.store.is_lost(digest, location, self._lengths):
            self._lost[digest] = location
            return False
        self._found.add(digest)
        return True

    def _add(self, digest: bytes, encoded: tuple[int, Bytes], length: int) -> None:
        codec, payload = encoded
        lost = self._lost.get(digest)  # stays: another thread of ours may be storing the same bytes
        self._held[digest] = self.store.add(digest, codec, payload, length, lost)
