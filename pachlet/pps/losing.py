"""Say in a job's log that a worker was lost, and record a datum as failed that no worker survives.

A worker that falls silent may have been ended, or its machine was; then another runs the datum that it had in hand. A
datum that takes the whole machine down, by its memory above all, would do so to one worker after the other, and its
job would never end. So it has failed once that has happened several times, with a reason that says so. Its own
`err_cmd` can't be asked: it would have to be run where the datum was.

Read next: leases.py (who finds out), recording.py.
"""

from __future__ import annotations

from concurrent.futures import Executor

from pachlet.pps.desk import Desk, source_of
from pachlet.pps.leases import Loss
from pachlet.worker.head import Result


class Losing:
    """Hears of every worker that is lost with a datum in hand."""

    def __init__(self, desk: Desk, steps: Executor) -> None:
        self._desk = desk
        self._steps = steps
        desk.leases.when_lost = self._hear

    def _hear(self, loss: Loss) -> None:
        """Note a loss in another thread: the lease table calls, and waits for nothing."""
        self._steps.submit(self._note, loss)

    def _note(self, loss: Loss) -> None:
        held, datum = loss.held, loss.planned.datum.id
        said = f"worker {held.worker} was lost in the middle of this datum: it was silent for {held.seconds:g} seconds"
        self._desk.logbook.worker(source_of(held, datum, held.worker), said)
        if not loss.is_given_up:
            return
        try:
            self._desk.give_up(loss, _result(loss))
        except Exception as problem:
            self._desk.leases.fail(held.offer, problem)


def _result(loss: Loss) -> Result:
    reason = (
        f"{loss.times} workers were lost in the middle of it, the last of them {loss.held.worker}; it may need more "
        "memory than their machines have (with resource_limits.memory a datum that does is ended alone)"
    )
    return Result(
        state="failed",
        reason=reason,
        tries=loss.times,
        provenance={},
        seconds={"download": 0.0, "process": 0.0, "upload": 0.0},
        download_bytes=0,
        peak_memory=None,
    )
