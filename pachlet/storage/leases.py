"""Leases: who still works with chunks and nodes that nothing in the database may refer to any more.

Somebody who reads a commit, or settles one, holds hashes in memory. If the commit is deleted meanwhile, what
the hashes stand for is garbage to the collector but not to them. So they take a lease before they look, and
the collector waits for the leases that are older than its own view. Younger ones can't have seen what it
takes for garbage. A lease ends with the object, so that no way out of a function can forget it.

Read next: marking.py (what is reachable), pachlet/pfs/collecting.py (who waits).
"""

from __future__ import annotations

import threading
import weakref


class Lease:
    """Held while something is read; `must_end` tells that what comes of it will be published."""

    __slots__ = ("__weakref__", "must_end", "number", "purpose")

    def __init__(self, number: int, purpose: str, *, must_end: bool) -> None:
        self.number = number
        self.purpose = purpose
        self.must_end = must_end


class Leases:
    """Every lease of a store, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._live: weakref.WeakSet[Lease] = weakref.WeakSet()

    def reading(self, purpose: str) -> Lease:
        """Return a lease for a reader; the collector waits for it for as long as its grace time lasts."""
        return self._take(purpose, must_end=False)

    def publishing(self, purpose: str) -> Lease:
        """Return a lease for work whose result will refer to what was read; the collector waits for its end."""
        return self._take(purpose, must_end=True)

    def mark(self) -> int:
        """Return a number that leases taken from now on are above."""
        with self._lock:
            return self._last

    def held_since(self, mark: int) -> list[Lease]:
        """Return the leases that were taken before a mark and are still held."""
        with self._lock:
            return [lease for lease in self._live if lease.number <= mark]

    def _take(self, purpose: str, *, must_end: bool) -> Lease:
        with self._lock:
            self._last += 1
            lease = Lease(self._last, purpose, must_end=must_end)
            self._live.add(lease)
            return lease
