"""The worker: take a lease, have its datums run, take the next.

It decides where they are run; everything else is its head's (head.py), so the same loop runs beside the store and on
another machine.

Read next: head.py (what is promised), seat.py (where datums are run), warm.py (what is kept for the next lease).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pachlet.errors import Unavailable
from pachlet.worker.companion import CompanionLost, Companions
from pachlet.worker.datum_run import Holding
from pachlet.worker.head import Head, Lease, LeaseLost, Work, worker_name
from pachlet.worker.interface import Prepared, Runner
from pachlet.worker.seat import OwnSeat, Seat
from pachlet.worker.warm import Sessions, Warm

log = logging.getLogger(__name__)
_PATIENCE = 30.0  # seconds that one question for work waits at most


class Worker:
    """Takes leases from a head until there are no more; `run` is the body of its thread."""

    def __init__(
        self,
        name: str,
        head: Head,
        runner: Runner,
        sessions: Sessions,
        companions: Companions | None = None,
    ) -> None:
        """Without `companions`, run all datums in this process."""
        self._name = name
        self._head = head
        self._runner = runner
        self._sessions = sessions
        self._companions = companions

    def run(self) -> None:
        """Work until the head raises `NoMoreWork`."""
        while True:
            patience = self._sessions.next_end()
            lease = self._head.take(self._name, _PATIENCE if patience is None else min(patience, _PATIENCE))
            if lease is not None:
                self._work(lease)
            self._sessions.close_idle()

    def _work(self, lease: Lease) -> None:
        holding = Holding()
        problem: Exception | None = None
        warm: Warm | None = None
        try:
            self._head.hold(lease, holding)
            if self._companions is not None:
                lease = self._companions.pack(lease)
            prepared = self._head.prepare(lease, lambda line: None)
            warm = self._take_seat(lease, prepared)
            warm.seat.work_on(lease, what_ran(prepared, lease.work), holding)
        except LeaseLost:
            holding.cancel("the lease is void")
        except CompanionLost as error:
            log.warning("%s", error)
            holding.cancel(error.message)
        except Exception as error:
            problem = error
        finally:
            if warm is not None:
                self._part_with(warm, is_fit=holding.let_go() and problem is None)
            self._head.give_back(lease, problem)

    def _take_seat(self, lease: Lease, prepared: Prepared) -> Warm:
        work = lease.work

        def open_here(number: int, folder: Path) -> Seat:
            name = worker_name(work, number)
            environ = {**work.environ, "PPS_POD_NAME": name}
            session = self._runner.open(prepared, work.transform, folder, environ, network=work.network)
            return OwnSeat(self._head, session, name)

        if self._companions is not None and lease.packed is not None:
            try:
                return self._companions.take(self._sessions, lease, prepared)
            except Unavailable as error:
                log.warning("datums of %s are run by the server itself: %s", work.pipeline, error)
        return self._sessions.take(
            work.key, work.stays_warm, open_here, has_code=work.transform.datum_batching
        )

    def _part_with(self, warm: Warm, *, is_fit: bool) -> None:
        if is_fit and _is_cleared(warm):
            self._sessions.put_back(warm)
        else:
            self._sessions.drop(warm)


def _is_cleared(warm: Warm) -> bool:
    """Remove what a lease left; tell whether that was possible, while a process that stays may go on writing."""
    try:
        warm.seat.clear()
    except OSError as error:
        log.info("a worker's folder can't be cleared, so it gets another one: %s", error)
        return False
    return True


def what_ran(prepared: Prepared, work: Work) -> dict[str, Any]:
    """Return what is recorded of a run besides its files: the facts of the image that ran, whatever its name means now.

    digest: of the image; env: the names of the variables that the image and the spec set, never their values, but for
    seeds: those whose names end with SEED, by which a step says what its random numbers begin from.
    """
    given = {**prepared.env, **work.transform.env}
    seeds = {name: value for name, value in given.items() if name.upper().endswith("SEED")}
    return {
        **prepared.provenance,
        "digest": prepared.image.digest,
        "env": sorted({*given, *work.transform.secrets.environ}),
        **({"seeds": seeds} if seeds else {}),
    }
