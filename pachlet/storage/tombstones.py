"""Tombstones: what the store knows of bytes that were purged, for any thread.

A purged chunk is in no pack and in no index, but trees go on naming its hash: a commit shows what it held. Who reads
it is told who purged it, when and why; who would store the same bytes again is refused, because a purge that the
next run of a pipeline undoes would be none. One that was lifted refuses nobody.

Read next: wiping.py (how the bytes go), pachlet/pfs/purging.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pachlet import errors


class Tombstone(NamedTuple):
    """What is left of a purge: its id, what was named, when (UTC), by whom and why."""

    purge: str
    what: str
    when: str
    who: str
    why: str
    is_lifted: bool = False

    def __str__(self) -> str:
        return f"{self.what} was purged on {self.when} by {self.who}: {self.why} (purge {self.purge})"


class Tombstones:
    """By hash, about 200 bytes of memory for each chunk."""

    def __init__(self, known: Mapping[bytes, Tombstone] | None = None) -> None:
        self._known = dict(known or {})

    def __bool__(self) -> bool:
        return bool(self._known)

    def get(self, hash: bytes) -> Tombstone | None:
        """Return the tombstone of a chunk, if it was purged."""
        return self._known.get(hash)

    def put(self, tombstone: Tombstone, hashes: Iterable[bytes]) -> None:
        """Give chunks a tombstone, or another."""
        self._known.update(dict.fromkeys(hashes, tombstone))

    def forbid(self, hash: bytes) -> bool:
        """Tell whether these bytes must not be stored."""
        found = self._known.get(hash)
        return found is not None and not found.is_lifted

    def refuse(self, hash: bytes) -> None:
        """Raise Purged if these bytes must not be stored."""
        if self.forbid(hash):
            found = self._known[hash]
            raise errors.Purged(
                f"bytes of this file may not be stored any more: {found}",
                hint=f"leave it out; or `pachlet purge --lift {found.purge}` lets these bytes in again, everywhere",
            )


def gone(tombstone: Tombstone) -> errors.Purged:
    """Return the error for whoever reads what was purged."""
    return errors.Purged(
        f"the bytes of this file are gone: {tombstone}",
        hint="its name, size, hash and provenance are kept; nobody can bring its bytes back",
    )
