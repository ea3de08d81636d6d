"""Get the space of forgotten chunks back: remove packs, and write anew what is left of others.

A pack is a file, and files give space back only as a whole. So a pack in which nothing is left is removed,
and one in which little is left has its chunks copied, as they are, to a new pack first. The order makes every
step safe to be killed in: the copies are durable before the index learns of them, and the index no longer
names the old pack before it is removed. What a kill leaves over is a pack that nothing refers to, which the
next collection removes.

Read next: pachlet/pfs/collecting.py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import NamedTuple

from pachlet import errors
from pachlet.storage.chunks import ChunkStore
from pachlet.storage.packs import (
    RECORD_OVERHEAD,
    Location,
    Pack,
    PackReader,
    pack_numbers,
    pack_path,
    sync_directory,
)


class Move(NamedTuple):
    """A chunk, where it lay, and where its copy lies."""

    hash: bytes
    before: Location
    after: Location


class Mover:
    """Copies chunks out of packs that are to go."""

    def __init__(self, store: ChunkStore) -> None:
        self._store = store
        self._target: Pack | None = None
        self.damaged: dict[bytes, str] = {}
        """The chunks that were found damaged, and how."""

    def move_out(self, number: int) -> list[Move]:
        """Copy every chunk for which the index names this pack; the copies are durable on return.

        Raises:
            Corrupt: a chunk is damaged; the pack has to stay as it is.
            Unavailable: the disk is full; what was copied from this pack is taken back.
        """
        target, end = self._target, self._target.end if self._target else 0
        try:
            return self._copy(number)
        except errors.Unavailable:
            last, self._target = self._target, None
            if last is not None:
                os.truncate(last.path, end if last is target else 0)
            raise

    def _copy(self, number: int) -> list[Move]:
        reader = PackReader(self._store.directory, number)
        moves = []
        for digest, codec, location in reader.records():
            if self._store.find_published(digest) != location:
                continue
            try:  # never copy damage: the old pack may be all there is
                self._store.read_at(digest, location)
            except errors.Corrupt as error:
                self.damaged[digest] = error.message
                raise
            _, payload = reader.read(digest, location)
            target = self._pack()
            moves.append(Move(digest, location, target.append(digest, codec, payload, location.length)))
        if moves and self._target is not None:
            self._target.sync(self._target.end)
        return moves

    def _pack(self) -> Pack:
        if self._target is None or self._target.failed or self._target.end >= self._store.pack_size:
            if self._target is not None and not self._target.failed:
                self._target.sync(self._target.end)
            self._target = self._store.new_pack()
        return self._target


def remove_packs(store: ChunkStore, numbers: Iterable[int]) -> None:
    """Remove packs that nothing refers to. Of the newest an empty file stays, so that its number is not given again."""
    newest = max(pack_numbers(store.directory), default=0)
    for number in numbers:
        with contextlib.suppress(FileNotFoundError):
            if number == newest:
                os.truncate(pack_path(store.directory, number), 0)
            else:
                pack_path(store.directory, number).unlink()
        store.forget_pack(number)
    sync_directory(store.directory)


def cut_tail(store: ChunkStore, number: int, end: int) -> None:
    """Cut off what lies in a pack behind its last chunk that is needed; costs no space."""
    os.truncate(pack_path(store.directory, number), end)


def pack_size(store: ChunkStore, number: int) -> int:
    """Return how much disk a pack takes; 0 if it is not there."""
    try:
        return pack_path(store.directory, number).stat().st_size
    except FileNotFoundError:
        return 0


def stored_size(location: Location) -> int:
    """Return how much disk a chunk takes, with its record's head."""
    return RECORD_OVERHEAD + location.stored
