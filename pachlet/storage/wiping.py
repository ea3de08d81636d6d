"""Overwrite chunks where they lie: in every pack, published or not, needed or not.

An index that no longer names a chunk leaves its bytes in a pack until that is written anew; and what a kill left, or
an upload that broke off, no index ever named. So every record of every pack is looked at, and the payload of one
whose hash is to go becomes zeros, where it is: that needs no space, no reader is in its way, and it may be done twice.
The record stays as a hole that says of itself that it is one.

A file system or a disk that writes elsewhere than it is told may keep the old bytes; docs/purge.md says so.

Read next: packs.py, pachlet/pfs/purging.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from pachlet import errors
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.packs import heads, pack_numbers, pack_path, wiped_head

_ZEROS = bytes(1 << 20)


@dataclass
class Wiped:
    """How far it is: packs looked at, of how many, and records overwritten."""

    done: int
    total: int
    records: int


def wipe(store: ChunkStore, hashes: Set[bytes]) -> Iterator[Wiped]:
    """Overwrite every record of these chunks; it is on disk when the iteration ends. Yields after each pack.

    None of them may come into a pack meanwhile (`ChunkStore.bury`), and no pack be moved or removed
    (`ChunkStore.upkeep`).
    """
    idle, records = set(store.turn_page()), 0
    numbers = pack_numbers(store.directory)
    for done, number in enumerate(numbers, 1):
        path = pack_path(store.directory, number)
        try:
            records += _wipe_pack(path, hashes, cut_tail=number in idle)
        except OSError as error:
            raise errors.Unavailable(
                f"can't overwrite what is purged in {path}: {error.strerror}",
                hint="look at the disk's health; the purge goes on when the server starts again",
            ) from error
        yield Wiped(done, len(numbers), records)


def _wipe_pack(path: Path, hashes: Set[bytes], *, cut_tail: bool) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size, wiped = os.fstat(fd).st_size, 0
        whole = 0
        for head in heads(fd, size):
            whole = head.end if head.is_whole else whole
            if head.digest in hashes:
                _overwrite(fd, head.start, head.end)
                if head.is_whole:
                    os.pwrite(fd, wiped_head(head), head.offset)
                wiped += 1
        # A write that failed leaves the beginning of a record behind the last whole one.
        if cut_tail and whole and whole < size:
            os.ftruncate(fd, whole)
        os.fdatasync(fd)
        return wiped
    finally:
        os.close(fd)


def _overwrite(fd: int, start: int, end: int) -> None:
    while start < end:
        start += os.pwrite(fd, _ZEROS[: end - start], start)
