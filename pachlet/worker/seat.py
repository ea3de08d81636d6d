"""Where the datums of a lease are run, one after the other: with a session here, or by a companion process.

Read next: datum_run.py (one datum), companion.py (the other kind), warm.py (who keeps them for the next lease).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pachlet.worker.datum_run import DatumRun, Holding
from pachlet.worker.head import DatumHead, Lease
from pachlet.worker.interface import Session
from pachlet.worker.layout import Layout


class Seat(Protocol):
    """Serves leases of the same key, one at a time."""

    def work_on(self, lease: Lease, ran: Mapping[str, Any], holding: Holding) -> None:
        """Run the datums of a lease and settle each, until the hand on the lease is void or others wait for a worker.

        `ran` is what is recorded of what they run on.

        Raises:
            LeaseLost: the lease is void.
        """

    def clear(self) -> None:
        """Remove what a lease left; raises OSError while a process that stays goes on writing."""

    def close(self) -> None:
        """End what still runs, and remove all that was made for it."""


class OwnSeat:
    """A session of this process, with what lies in its folder."""

    def __init__(self, head: DatumHead, session: Session, worker: str) -> None:
        """`worker` is what a step and the log call the worker."""
        self._head = head
        self._session = session
        self._layout = Layout(session.pfs)
        self._worker = worker

    def work_on(self, lease: Lease, ran: Mapping[str, Any], holding: Holding) -> None:
        holding.use(self._session)
        for task in lease.tasks:
            if holding.is_void or (task is not lease.tasks[0] and self._head.should_yield(lease)):
                break
            DatumRun(self._head, lease, task, ran, self._session, self._layout, holding, self._worker).run()

    def clear(self) -> None:
        self._session.clear(keep_inputs=True)
        self._layout.rest()

    def close(self) -> None:
        self._session.close()
