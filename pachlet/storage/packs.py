"""Pack files: append-only files of self-describing chunk records.

One file per chunk would cost a small file ten times its bytes in directory work; packs make a thousand
small files one sequential write and one fsync. A record says all about itself (magic, codec, lengths,
hash), so that a pack can be read without any index, and a torn end is recognised. A pack is written by the
process that created it and never reopened for writing: what a crash left behind its last published record
is dead weight, not a hazard.

    pack    = "pachlet pack 1\\n\\0" record*
    record  = "Chnk" | codec u8 (0 raw, 1 zstd, 255 wiped) | 3 zero bytes | stored u32 | length u32 | hash | payload

Numbers are little-endian; `length` is the chunk's, `stored` what it takes here.

Read next: chunks.py (who writes and reads packs).
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pachlet import errors
from pachlet.storage.hashing import Bytes

MAGIC = b"pachlet pack 1\n\0"
RAW = 0
ZSTD = 1
WIPED = 255
"""The payload was overwritten with zeros (wiping.py); no index names such a record."""

_RECORD = struct.Struct("<4sB3xII32s")
_RECORD_MAGIC = b"Chnk"
RECORD_OVERHEAD = _RECORD.size
"""Bytes that a chunk takes in a pack besides its payload."""
_LARGE = 64 << 10
"""Copying so many bytes takes as long as another call to the kernel."""


class Location(NamedTuple):
    """Where a chunk lies: number of the pack, start of the record, bytes of the payload and of the chunk."""

    pack: int
    offset: int
    stored: int
    length: int


class NewChunk(NamedTuple):
    """A chunk as it is to be written; `length` is that of its bytes, the payload is what they were encoded to."""

    digest: bytes
    codec: int
    payload: Bytes
    length: int


def pack_path(directory: Path, number: int) -> Path:
    """Return the path of pack `number`."""
    return directory / f"{number:08}.pack"


def pack_numbers(directory: Path) -> list[int]:
    """Return the numbers of all packs in `directory`, sorted."""
    return sorted(int(path.stem) for path in directory.glob("[0-9]*.pack"))


class Pack:
    """A new pack, being written; appending is for one thread at a time, all else for any."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self.path = pack_path(directory, number)
        self.end = 0
        self.failed = False
        self._durable = 0
        self._sync_lock = threading.Lock()
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _disk_trouble(error, self.path) from error
        self._write([MAGIC])

    def __del__(self) -> None:
        # The pack is open for as long as anyone holds a chunk in it whose row is not published yet.
        fd = self.__dict__.pop("_fd", None)
        if fd is not None:
            os.close(fd)

    def append(self, digest: bytes, codec: int, payload: Bytes, length: int) -> Location:
        """Write a record and return where it lies; after an error the pack is as before."""
        location = Location(self.number, self.end, len(payload), length)
        self._write([_RECORD.pack(_RECORD_MAGIC, codec, len(payload), length, digest), payload])
        return location

    def append_together(self, chunks: Iterable[NewChunk], until: int) -> list[Location]:
        """Write small records at one go, as `append` does one: the first, and more until the pack is so long."""
        places: list[Location] = []
        parts, at = [], self.end
        for digest, codec, payload, length in chunks:
            if places and at >= until:
                break
            places.append(Location(self.number, at, len(payload), length))
            parts += [_RECORD.pack(_RECORD_MAGIC, codec, len(payload), length, digest), payload]
            at = record_end(places[-1])
        self._write([b"".join(parts)])
        return places

    def _write(self, parts: list[Bytes]) -> None:
        size = sum(map(len, parts))
        try:
            # Positional: what a failed or short write left behind is overwritten by the next one.
            done = os.pwritev(self._fd, parts, self.end)
            if done < size:
                rest = b"".join(parts)
                while done < size:
                    done += os.pwrite(self._fd, rest[done:], self.end + done)
        except OSError as error:
            raise _disk_trouble(error, self.path) from error
        self.end += size

    def sync(self, until: int) -> None:
        """Make what lies before `until` survive a power cut; the name of the file too."""
        with self._sync_lock:
            if self._durable >= until:
                return
            end = self.end
            try:
                if self.failed:
                    raise OSError(errno.EIO, "an earlier write to this pack was lost")
                os.fdatasync(self._fd)
                if not self._durable:
                    sync_directory(self.path.parent)
            except OSError as error:
                # The kernel forgets pages that it could not write: a second try would succeed without them.
                self.failed = True
                raise _disk_trouble(error, self.path) from error
            self._durable = end


class PackReader:
    """An existing pack, open for reading from any thread."""

    def __init__(self, directory: Path, number: int) -> None:
        self.path = pack_path(directory, number)
        try:
            self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise errors.Corrupt(
                f"pack {self.path} is missing", hint="restore it from a backup; chunks lie in it"
            ) from error

    def __del__(self) -> None:
        fd = self.__dict__.pop("_fd", None)
        if fd is not None:
            os.close(fd)

    def read(self, digest: bytes, location: Location) -> tuple[int, bytes]:
        """Return codec and payload of a chunk, having checked that its record is the one looked for."""
        try:
            if location.stored < _LARGE:
                data = os.pread(self._fd, _RECORD.size + location.stored, location.offset)
                found = find_record(data, 0, digest, location)
            else:
                found = self._read_large(digest, location)
        except OSError as error:  # a bad sector
            raise self.damage(location.offset) from error
        if found is None:
            raise self.damage(location.offset)
        return found

    def _read_large(self, digest: bytes, location: Location) -> tuple[int, bytes] | None:
        """Do the same with two reads: cutting the payload out would copy it, which takes longer than the second."""
        head = os.pread(self._fd, _RECORD.size, location.offset)
        codec = _codec_of(head, 0, digest, location) if len(head) == _RECORD.size else None
        payload = os.pread(self._fd, location.stored, location.offset + _RECORD.size)
        return None if codec is None or len(payload) < location.stored else (codec, payload)

    def read_span(self, offset: int, end: int) -> bytes:
        """Return the bytes between two offsets, fewer if the pack ends before; nothing where they can't be read."""
        try:
            return os.pread(self._fd, end - offset, offset)
        except OSError:  # a bad sector: whoever needs it reads it alone, and is told
            return b""

    def damage(self, offset: int) -> errors.Corrupt:
        """Return the error for a record that is not what it should be."""
        return errors.Corrupt(
            f"the chunk at offset {offset} of pack {self.path} is damaged",
            hint="the disk or another program changed it; restore the pack from a backup",
        )

    def records(self) -> Iterator[tuple[bytes, int, Location]]:
        """Yield (hash, codec, location) of each whole record, up to the end or the first that is torn.

        Reads headers only: whether a chunk's bytes are intact is found out by reading it.
        """
        number, size = int(self.path.stem), os.fstat(self._fd).st_size
        if os.pread(self._fd, len(MAGIC), 0) != MAGIC:
            return
        offset = len(MAGIC)
        while len(header := os.pread(self._fd, _RECORD.size, offset)) == _RECORD.size:
            magic, codec, stored, length, digest = _RECORD.unpack(header)
            end = offset + _RECORD.size + stored
            if magic != _RECORD_MAGIC or end > size:
                return
            yield digest, codec, Location(number, offset, stored, length)
            offset = end


def find_record(data: bytes, at: int, digest: bytes, location: Location) -> tuple[int, bytes] | None:
    """Return codec and payload of the record that begins at `at`; None if it is not the one looked for, or torn."""
    end = at + _RECORD.size + location.stored
    if end > len(data):
        return None
    codec = _codec_of(data, at, digest, location)
    return None if codec is None else (codec, data[at + _RECORD.size : end])


def _codec_of(data: bytes, at: int, digest: bytes, location: Location) -> int | None:
    """Return the codec of the record whose head is at `at`; None if it is not the one looked for."""
    magic, codec, stored, length, found = _RECORD.unpack_from(data, at)
    is_it = (magic, stored, length, found) == (_RECORD_MAGIC, location.stored, location.length, digest)
    return codec if is_it else None


def split_pack(data: bytes) -> Iterator[tuple[bytes, int, int, bytes]] | None:
    """Return (hash, codec, length, payload) of each record of a pack in memory, None if it is no row of records."""
    if data[: len(MAGIC)] != MAGIC:
        return None
    heads, at = [], len(MAGIC)
    while at < len(data):
        start = at + _RECORD.size
        if start > len(data):
            return None
        magic, codec, stored, length, digest = _RECORD.unpack_from(data, at)
        at = start + stored
        if magic != _RECORD_MAGIC or at > len(data):
            return None
        heads.append((digest, codec, length, start, at))
    return ((digest, codec, length, data[start:end]) for digest, codec, length, start, end in heads)


class Head(NamedTuple):
    """The head of a record as found in a pack: where it begins, and from where to where its payload goes.

    The payload of one that is not whole ends where the next record begins, or the file.
    """

    digest: bytes
    offset: int
    start: int
    end: int
    length: int
    is_whole: bool


def heads(fd: int, size: int) -> Iterator[Head]:
    """Yield the head of every record of an open pack, also of those behind one that is torn or damaged."""
    offset = len(MAGIC)
    while offset + _RECORD.size <= size:
        magic, _, stored, length, digest = _RECORD.unpack(os.pread(fd, _RECORD.size, offset))
        start = offset + _RECORD.size
        end = start + stored
        if magic == _RECORD_MAGIC and end <= size:
            yield Head(digest, offset, start, end, length, is_whole=True)
        else:
            end = _next_record(fd, start if magic == _RECORD_MAGIC else offset + 1, size)
            if magic == _RECORD_MAGIC:
                yield Head(digest, offset, start, end, length, is_whole=False)
        offset = end


def _next_record(fd: int, start: int, size: int) -> int:
    """Return where the next record seems to begin, the size of the file if none does."""
    while start < size:
        block = os.pread(fd, 1 << 20, start)
        found = block.find(_RECORD_MAGIC)
        if found >= 0:
            return start + found
        if len(block) < 1 << 20:
            break
        start += len(block) - len(_RECORD_MAGIC) + 1
    return size


def wiped_head(head: Head) -> bytes:
    """Return the head of a record whose payload was overwritten."""
    return _RECORD.pack(_RECORD_MAGIC, WIPED, head.end - head.start, head.length, head.digest)


def record_end(location: Location) -> int:
    """Return the offset behind a record."""
    return location.offset + _RECORD.size + location.stored


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _disk_trouble(error: OSError, path: Path) -> errors.Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.Unavailable(
            f"no space left on the disk that holds {path.parent}",
            hint="free some space or delete data and run `pachlet gc`, then try again",
        )
    return errors.Unavailable(f"can't write {path}: {error.strerror}", hint="look at the disk's health")
