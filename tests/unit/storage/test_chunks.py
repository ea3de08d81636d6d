"""The chunk store: what it promises of durability, sharing and damage."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import errors
from pachlet.storage import hashing, packs
from pachlet.storage.chunks import ChunkRow, ChunkStore, ChunkWriter, Location
from pachlet.storage.packs import NewChunk, PackReader
from pachlet.storage.tombstones import Tombstone, Tombstones


class Index(dict[bytes, Location]):
    """A chunk index in memory."""

    def find_chunk(self, hash: bytes) -> Location | None:
        return self.get(hash)

    def find_chunks(self, hashes: Iterable[bytes]) -> dict[bytes, Location]:
        return {each: self[each] for each in hashes if each in self}

    def publish(self, rows: list[ChunkRow]) -> None:
        for row in rows:
            if self.setdefault(row.hash, row.location) == row.replaces:
                self[row.hash] = row.location


Put = Callable[[ChunkWriter, bytes], bytes]


@pytest.fixture(params=["alone", "together"])
def put(request: pytest.FixtureRequest) -> Put:
    """Either way to store a chunk."""
    if request.param == "alone":
        return ChunkWriter.put
    return lambda writer, data: writer.put_together([data])[0]


def store_one(directory: Path, data: bytes) -> tuple[Index, bytes, Location]:
    """Publish one chunk and return the index, the hash and the location."""
    index = Index()
    store = ChunkStore(directory, index)
    writer = store.writer()
    digest = writer.put(data)
    index.publish(writer.seal())
    store.close()
    return index, digest, index[digest]


@pytest.mark.parametrize("data", [b"", b"x", b"text " * 5000, random.Random(0).randbytes(100_000)])
def test_read_returns_what_was_put_also_in_a_new_process(tmp_path: Path, data: bytes) -> None:
    index, digest, _ = store_one(tmp_path, data)
    assert digest == hashing.chunk_hash(data)
    assert ChunkStore(tmp_path, index).read(digest) == data


def test_put_compresses_only_what_gets_smaller(tmp_path: Path) -> None:
    text, noise = b"text " * 5000, random.Random(0).randbytes(25_000)
    assert store_one(tmp_path / "text", text)[2].stored < len(text) // 10
    assert store_one(tmp_path / "noise", noise)[2].stored == len(noise)


def test_put_keeps_a_chunk_once(put: Put, tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    first = store.writer()
    assert put(first, b"same") == put(first, b"same")
    index.publish(first.seal())
    del first
    second = store.writer()
    put(second, b"same")
    assert second.seal() == []
    assert len(index) == 1


def test_two_writers_share_what_neither_has_published(tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    first, second = store.writer(), store.writer()
    digest = first.put(b"shared")
    assert second.put(b"shared") == digest
    assert store.read(digest) == b"shared"
    assert first.seal() == second.seal() != []


def test_a_chunk_outlives_the_writer_that_gave_up(tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    first, second = store.writer(), store.writer()
    digest = first.put(b"shared")
    second.put(b"shared")
    del first
    index.publish(second.seal())
    assert store.read(digest) == b"shared"


def test_what_nobody_published_is_forgotten_and_stored_anew(tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    digest = store.writer().put(b"abandoned")
    with pytest.raises(errors.Corrupt, match="not in the store"):
        store.read(digest)
    writer = store.writer()
    writer.put(b"abandoned")
    assert [row.hash for row in writer.seal()] == [digest]


def test_seal_syncs_each_pack_once_and_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def record(fd: int) -> None:
        synced.append(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))

    monkeypatch.setattr(os, "fdatasync", record)
    monkeypatch.setattr(os, "fsync", record)
    store = ChunkStore(tmp_path, Index(), pack_size=2000)
    writer = store.writer()
    for seed in range(5):
        writer.put(random.Random(seed).randbytes(900))
    writer.seal()
    name = tmp_path.name
    assert synced == ["00000001.pack", name, "00000002.pack", name]
    writer.seal()
    assert len(synced) == 4
    writer.put(b"more")
    writer.seal()
    assert synced[4:] == ["00000002.pack"]


def test_what_is_written_during_a_sync_waits_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ChunkStore(tmp_path, Index())
    first, second = store.writer(), store.writer()
    first.put(b"first")
    synced: list[int] = []

    def sync(fd: int) -> None:
        if not synced:  # the kernel may have begun before these bytes came
            second.put(b"second")
        synced.append(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    first.seal()
    assert len(synced) == 1
    second.seal()
    assert len(synced) == 2


def test_packs_roll_at_their_size(tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index, pack_size=10_000)
    writer = store.writer()
    blobs = [random.Random(seed).randbytes(3000) for seed in range(20)]
    digests = [writer.put(blob) for blob in blobs]
    index.publish(writer.seal())
    assert packs.pack_numbers(tmp_path) == [1, 2, 3, 4, 5]
    assert [store.read(digest) for digest in digests] == blobs


def test_a_new_process_never_appends_to_a_torn_pack(tmp_path: Path) -> None:
    index, digest, location = store_one(tmp_path, b"whole")
    path = packs.pack_path(tmp_path, 1)
    with path.open("ab") as file:
        file.write(path.read_bytes()[location.offset :][:-2])
    torn = path.read_bytes()
    store = ChunkStore(tmp_path, index)
    writer = store.writer()
    other = writer.put(b"after the crash")
    index.publish(writer.seal())
    assert index[other].pack == 2
    assert path.read_bytes() == torn
    assert [record[0] for record in PackReader(tmp_path, 1).records()] == [digest]
    assert [store.read(digest), store.read(other)] == [b"whole", b"after the crash"]


def test_records_tell_what_a_pack_holds(tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    writer = store.writer()
    for text in (b"a" * 1000, b"b", b""):
        writer.put(text)
    rows = writer.seal()
    found = list(PackReader(tmp_path, 1).records())
    assert [ChunkRow(digest, location) for digest, _, location in found] == rows
    assert [codec for _, codec, _ in found] == [packs.ZSTD, packs.RAW, packs.RAW]


def test_records_of_a_pack_that_was_torn_at_birth_are_none(tmp_path: Path) -> None:
    packs.pack_path(tmp_path, 1).write_bytes(packs.MAGIC[:5])
    assert list(PackReader(tmp_path, 1).records()) == []


LARGE = random.Random(0).randbytes(70_000)  # its head and payload are read one after the other


@pytest.mark.parametrize(
    "data", [LARGE[:500], b"compressible " * 100, LARGE], ids=["small", "packed", "large"]
)
def test_read_never_returns_other_bytes(tmp_path: Path, data: bytes) -> None:
    index, digest, location = store_one(tmp_path, data)
    path = packs.pack_path(tmp_path, 1)
    whole = path.read_bytes()
    harmless, complaints = set(), set()
    for at in [*range(location.offset, min(location.offset + 600, len(whole))), len(whole) - 1]:
        broken = bytearray(whole)
        broken[at] ^= 0x10
        path.write_bytes(broken)
        try:
            assert ChunkStore(tmp_path, index).read(digest) == data
            harmless.add(at - location.offset)
        except errors.Corrupt as error:
            complaints.add(str(error))
    # A record has three bytes of padding, and a few bits of a zstd frame's header don't matter.
    assert len(harmless) <= (3 if location.stored == len(data) else 5)
    assert complaints == {f"the chunk at offset {location.offset} of pack {path} is damaged"}
    path.write_bytes(whole)
    assert ChunkStore(tmp_path, index).read(digest) == data


@pytest.mark.parametrize("data", [LARGE[:500], LARGE], ids=["small", "large"])
def test_read_says_when_a_pack_is_cut_short_or_gone(tmp_path: Path, data: bytes) -> None:
    index, digest, location = store_one(tmp_path, data)
    path = packs.pack_path(tmp_path, 1)
    whole = path.read_bytes()
    for end in (len(whole) - 1, location.offset + 20, location.offset):
        path.write_bytes(whole[:end])
        with pytest.raises(errors.Corrupt, match="damaged"):
            ChunkStore(tmp_path, index).read(digest)
    path.unlink()
    with pytest.raises(errors.Corrupt, match="missing"):
        ChunkStore(tmp_path, index).read(digest)


def test_read_reports_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, digest, location = store_one(tmp_path, b"some bytes")

    def fail(fd: int, size: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(errors.Corrupt, match=f"offset {location.offset} of pack"):
        ChunkStore(tmp_path, index).read(digest)


def test_a_full_disk_costs_only_the_chunk_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    writer = store.writer()
    before = writer.put(b"before")
    with monkeypatch.context() as patch:
        real = os.pwritev

        def fill_up(fd: int, parts: list[bytes], offset: int) -> int:
            real(fd, [parts[0]], offset)  # half of it gets through
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "pwritev", fill_up)
        with pytest.raises(errors.Unavailable, match="no space left"):
            writer.put(b"during")
    after = writer.put(b"after")
    index.publish(writer.seal())
    assert set(index) == {before, after}
    assert [store.read(before), store.read(after)] == [b"before", b"after"]
    assert [record[0] for record in PackReader(tmp_path, 1).records()] == [before, after]


def test_a_short_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwritev", lambda fd, parts, at: os.pwrite(fd, b"".join(parts)[:7], at))
    index, digest, _ = store_one(tmp_path, b"written in two goes")
    assert ChunkStore(tmp_path, index).read(digest) == b"written in two goes"


def test_a_failed_fsync_is_never_taken_for_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ChunkStore(tmp_path, Index())
    writer = store.writer()
    writer.put(b"lost")
    with monkeypatch.context() as patch:

        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(errors.Unavailable, match="can't write"):
            writer.seal()
    with pytest.raises(errors.Unavailable, match="can't write"):
        writer.seal()
    del writer
    other = store.writer()
    other.put(b"lost")
    assert [row.location.pack for row in other.seal()] == [2]


def test_many_threads_write_the_same_chunks_without_loss(tmp_path: Path) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index, pack_size=50_000)
    blobs = [random.Random(seed).randbytes(1500) for seed in range(150)]
    failures: list[Exception] = []

    def work(seed: int) -> None:
        try:
            order = random.Random(seed).sample(blobs, len(blobs))
            for start in range(0, len(order), 30):
                writer = store.writer()
                digests = [writer.put(blob) for blob in order[start : start + 30]]
                index.publish(writer.seal())
                for digest, blob in zip(digests, order[start : start + 30], strict=True):
                    assert store.read(digest) == blob
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(index) == {hashing.chunk_hash(blob) for blob in blobs}
    again = ChunkStore(tmp_path, index)
    assert all(again.read(hashing.chunk_hash(blob)) == blob for blob in blobs)


def flip(directory: Path, place: Location) -> None:
    """Flip a bit of a chunk's payload."""
    path = packs.pack_path(directory, place.pack)
    data = bytearray(path.read_bytes())
    data[packs.record_end(place) - 1] ^= 1
    path.write_bytes(data)


def test_a_chunk_that_was_read_damaged_is_written_anew_once(put: Put, tmp_path: Path) -> None:
    index, digest, place = store_one(tmp_path, b"fragile")
    flip(tmp_path, place)
    store = ChunkStore(tmp_path, index)
    with pytest.raises(errors.Corrupt, match="is damaged"):
        store.read(digest)
    writer, other = store.writer(), store.writer()
    put(writer, b"fragile")
    put(other, b"fragile")
    [row] = writer.seal()
    assert row == other.seal()[0]
    assert row.replaces == place
    index.publish([row])
    index.publish(other.seal())
    del writer, other
    assert index[digest] == row.location != place
    assert store.read(digest) == b"fragile"
    writer = store.writer()
    put(writer, b"fragile")
    assert writer.seal() == []
    assert ChunkStore(tmp_path, index).read(digest) == b"fragile"


def test_damage_stays_known_when_the_repair_is_not_published(put: Put, tmp_path: Path) -> None:
    index, digest, place = store_one(tmp_path, b"fragile")
    flip(tmp_path, place)
    store = ChunkStore(tmp_path, index)
    with pytest.raises(errors.Corrupt):
        store.read(digest)
    writer = store.writer()
    put(writer, b"fragile")
    assert store.read(digest) == b"fragile"
    del writer
    writer = store.writer()
    put(writer, b"fragile")
    index.publish(writer.seal())
    assert store.read(digest) == b"fragile"


def test_a_writer_that_leans_on_a_chunk_writes_it_when_damage_is_found(put: Put, tmp_path: Path) -> None:
    index, digest, place = store_one(tmp_path, b"fragile")
    store = ChunkStore(tmp_path, index)
    writer = store.writer()
    writer.lean_on([digest])
    assert writer.seal() == []
    flip(tmp_path, place)
    with pytest.raises(errors.Corrupt):
        store.read(digest)
    writer.lean_on([digest])
    assert writer.seal() == []
    put(writer, b"fragile")
    index.publish(writer.seal())
    assert store.read(digest) == b"fragile"


@pytest.mark.parametrize("left", [None, 0, 20, -1])
def test_a_put_does_not_lean_on_a_pack_that_is_missing_or_too_short(
    put: Put, tmp_path: Path, left: int | None
) -> None:
    index, digest, place = store_one(tmp_path, b"fragile")
    path = packs.pack_path(tmp_path, place.pack)
    if left is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:left])
    store = ChunkStore(tmp_path, index, last_pack=place.pack)
    writer = store.writer()
    put(writer, b"something as long")
    put(writer, b"fragile")
    rows = writer.seal()
    assert all(row.location.pack > place.pack for row in rows)
    index.publish(rows)
    assert store.read(digest) == b"fragile"


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[Index, ChunkStore]]:
    """A store in which b"published" is and, for as long as the test runs, b"pending"."""
    index = Index()
    store = ChunkStore(tmp_path, index)
    writer = store.writer()
    writer.put(b"published")
    index.publish(writer.seal())
    writer = store.writer()
    writer.put(b"pending")
    yield index, store
    assert writer.needs(hashing.chunk_hash(b"pending"))


def test_what_is_put_together_is_stored_once_whoever_has_it(shared: tuple[Index, ChunkStore]) -> None:
    _, store = shared
    pieces = [b"new", b"published", b"", b"new", b"pending", b"newer"]
    writer = store.writer()
    assert writer.put_together(pieces) == [hashing.chunk_hash(piece) for piece in pieces]
    assert {row.hash for row in writer.seal()} == {
        hashing.chunk_hash(data) for data in (b"new", b"pending", b"newer")
    }
    assert all(writer.needs(hashing.chunk_hash(data)) for data in pieces if data)
    assert writer.put_together([]) == []


def test_what_is_put_later_is_stored_at_the_latest_when_it_is_sealed(
    shared: tuple[Index, ChunkStore],
) -> None:
    index, store = shared
    writer = store.writer()
    pieces = [b"new", b"published", b"new", b"pending", b"newer"]
    digests = [writer.put_later(piece) for piece in pieces]
    assert digests == [hashing.chunk_hash(piece) for piece in pieces]
    assert all(map(writer.needs, digests))
    rows = writer.seal()
    assert {row.hash for row in rows} == {hashing.chunk_hash(data) for data in (b"new", b"pending", b"newer")}
    index.publish(rows)
    assert [store.read(digest) for digest in digests] == pieces
    assert writer.put_later(b"new") == digests[0]
    assert writer.seal() == rows


@pytest.mark.parametrize("size, batches", [(8, [256] * 3), (30_000, [9] * 20), (1 << 18, [1] * 20)])
def test_no_more_than_some_wait_to_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, batches: list[int]
) -> None:
    store = ChunkStore(tmp_path, Index())
    stored: list[int] = []
    add_together = ChunkStore.add_together

    def note(self: ChunkStore, chunks: list[NewChunk], lost: dict[bytes, Location]) -> Any:
        stored.append(len(chunks))
        return add_together(self, chunks, lost)

    monkeypatch.setattr(ChunkStore, "add_together", note)
    writer = store.writer()
    for number in range(sum(batches)):
        writer.put_later(number.to_bytes(size))
    assert stored == batches
    writer.put_later(b"one more")
    assert len(writer.seal()) == sum(batches) + 1


def test_what_could_not_be_stored_is_stored_by_the_next_try_or_nothing_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    writer = store.writer()
    digest = writer.put_later(b"precious")

    def full(*_: object) -> None:
        raise errors.Unavailable("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(packs.Pack, "append_together", full)
        for _ in range(2):
            with pytest.raises(errors.Unavailable):
                writer.seal()
    index.publish(writer.seal())
    assert store.read(digest) == b"precious"


def test_one_look_at_a_pack_is_enough_until_it_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index()
    store = ChunkStore(tmp_path, index)
    other = store.writer()
    digests = [other.put(b"%d" % number) for number in range(100)]
    index.publish(other.seal())
    del other
    looks = []
    pack_path = packs.pack_path

    def look(directory: Path, number: int) -> Path:
        looks.append(number)
        return pack_path(directory, number)

    monkeypatch.setattr("pachlet.storage.chunks.pack_path", look)
    writer = store.writer()
    writer.put_together([b"%d" % number for number in range(100)])
    assert len(looks) == 1
    other = store.writer()
    digests.append(other.put(b"more"))
    index.publish(other.seal())
    del other
    writer.put(b"more")
    writer.put(b"1")
    assert len(looks) == 2
    assert all(map(writer.needs, digests))


def test_purged_bytes_are_not_stored_again(put: Put, tmp_path: Path) -> None:
    tombstone = Tombstone("purge", "a file", "today", "somebody", "a promise")
    store = ChunkStore(tmp_path, Index(), tombstones=Tombstones({hashing.chunk_hash(b"purged"): tombstone}))
    writer = store.writer()
    with pytest.raises(errors.Purged):
        put(writer, b"purged")
    assert writer.seal() == []
