"""Leases: who still works with chunks and nodes that nothing in the database may refer to any more.

Somebody who reads a commit, or settles one, holds hashes in memory. If the commit is deleted meanwhile, what
the hashes stand for is garbage to the collector but not to them. So they take a lease before they look, and
the collector waits for the leases that are older than its own view. Younger ones can't have seen what it
takes for garbage. A lease that is not a `with` block's ends with its object, so that no way out forgets it.

Read next: marking.py (what is reachable), pachlet/pfs/collecting.py (who waits).
"""

from __future__ import annotations

import threading
import weakref
from typing import NamedTuple


class Lease:
    """Held while something is read; `must_end` tells that what comes of it will be published.

    Ends with a `with` block, or with the object where what is read lives on.
    """

    __slots__ = ("__weakref__", "is_over", "must_end", "number", "purpose")

    def __init__(self, number: int, purpose: str, *, must_end: bool) -> None:
        self.number = number
        self.purpose = purpose
        self.must_end = must_end
        self.is_over = False

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        # Without the lock: Python may end a block that nobody goes on with (a stream's) in a thread that holds it.
        self.is_over = True


class Holder(NamedTuple):
    """Who holds a lease."""

    purpose: str
    must_end: bool


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

    def held_since(self, mark: int) -> list[Holder]:
        """Return who took a lease before a mark and still holds it."""
        with self._lock:  # not the leases themselves: whoever waits for their end must not hold them
            return [
                Holder(each.purpose, each.must_end)
                for each in self._live
                if each.number <= mark and not each.is_over
            ]

    def _take(self, purpose: str, *, must_end: bool) -> Lease:
        with self._lock:
            self._last += 1
            lease = Lease(self._last, purpose, must_end=must_end)
            self._live.add(lease)
            return lease
