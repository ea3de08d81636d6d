"""Run one datum: try it until it succeeds or its tries are used up, and settle it.

It decides what is decided at the datum: how often it is tried, whether what failed was recovered. Everything else is
its head's (head.py).

Read next: seat.py (who has datums run), layout.py (its inputs), outputs.py (what a step wrote).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pachlet.errors import PachletError, Refused
from pachlet.spec.quantity import show_bytes
from pachlet.worker.head import DatumHead, InputFile, Lease, LeaseLost, Output, Result, Task
from pachlet.worker.interface import Outcome, Session
from pachlet.worker.layout import Layout
from pachlet.worker.outputs import find_outputs


class Holding:
    """A worker's hand on a lease (head.py: Hold): what reaches it ends the attempt that is in hand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._datum = ""
        self._restarts = False
        self._void_for = ""

    @property
    def is_void(self) -> bool:
        """Tell whether nobody wants to hear of the lease any more."""
        return bool(self._void_for)

    def use(self, session: Session) -> None:
        """Say which session the lease is worked on with."""
        with self._lock:
            self._session = session
            if self._void_for:
                session.kill(self._void_for, for_good=True)

    def let_go(self) -> bool:
        """Take the hand off the session, which others may use from now on; tell whether it was left alone till then."""
        with self._lock:
            self._session = None
            return not self._void_for

    def begin(self, datum: str) -> None:
        """Say which datum is in hand."""
        with self._lock:
            self._datum, self._restarts = datum, False

    def cancel(self, reason: str) -> None:
        with self._lock:
            self._void_for = self._void_for or reason
            if self._session is not None:
                self._session.kill(reason, for_good=True)

    def restart(self, datum: str, reason: str) -> None:
        with self._lock:
            if datum == self._datum and self._session is not None:
                self._restarts = True
                self._session.kill(reason)

    def was_restarted(self) -> bool:
        """Tell, once, whether the datum in hand is to be begun anew."""
        with self._lock:
            restarts, self._restarts = self._restarts, False
            return restarts


@dataclass
class _Spent:
    """What a datum took so far."""

    seconds: dict[str, float] = field(
        default_factory=lambda: {"download": 0.0, "process": 0.0, "upload": 0.0}
    )
    download_bytes: int = 0
    peak_memory: int | None = None

    def add(self, outcome: Outcome) -> None:
        self.seconds["process"] += outcome.seconds
        if outcome.peak_memory is not None:
            self.peak_memory = max(self.peak_memory or 0, outcome.peak_memory)


class DatumRun:
    """One datum in a worker's hands."""

    def __init__(
        self,
        head: DatumHead,
        lease: Lease,
        task: Task,
        ran: Mapping[str, Any],
        session: Session,
        layout: Layout,
        holding: Holding,
        worker: str,
    ) -> None:
        """`ran` is what is recorded of what it runs on, `worker` what a step and the log call the worker."""
        self._head = head
        self._lease = lease
        self._task = task
        self._ran = ran
        self._session = session
        self._layout = layout
        self._holding = holding
        self._worker = worker
        self._spent = _Spent()
        self._inputs: dict[str, InputFile] = {}

    def run(self) -> None:
        """Try the datum until it succeeds or its tries are used up, and settle it.

        Raises:
            LeaseLost: it is another's now.
        """
        self._holding.begin(self._task.id)
        tries, attempt, reason, state, has_begun = self._lease.work.tries, 0, "", "failed", True
        outputs: list[tuple[str, Output]] = []
        while attempt < tries and state != "success":
            outcome, outputs = self._attempt()
            if self._holding.is_void:
                raise LeaseLost(f"the lease of datum {self._task.id} is void")
            if not outcome.ok and self._holding.was_restarted():
                self._say("begun anew, as was asked for")
                continue
            attempt += 1
            has_begun = outcome.has_begun
            if outcome.ok:
                reason, state = "", "success"
            else:
                reason = outcome.reason
                self._say(f"attempt {attempt} of {tries} failed: {reason}")
                state = "recovered" if self._recovers() else "failed"
        result = Result(
            state=state,
            reason=reason,
            tries=attempt,
            provenance=self._ran,
            seconds=self._spent.seconds,
            download_bytes=self._spent.download_bytes,
            peak_memory=self._spent.peak_memory,
            has_begun=has_begun,
        )
        try:
            self._head.settle(self._lease, self._task, result, outputs if state == "success" else [])
        except Refused as problem:  # the step, which may still run, took away what it had written
            result = replace(result, state="failed", reason=problem.message)
            self._head.settle(self._lease, self._task, result, [])

    def _attempt(self) -> tuple[Outcome, list[tuple[str, Output]]]:
        """Run the user's code once, on fresh inputs; return what it wrote, too."""
        started = time.monotonic()
        self._lay_out()
        self._spent.seconds["download"] += time.monotonic() - started
        self._say_more(
            lambda: (
                f"{len(self._inputs)} input files, {show_bytes(self._spent.download_bytes)}, laid out below /pfs"
            )
        )
        self._say("beginning to run user code")
        work = self._lease.work
        with (
            self._head.attempt(self._lease, self._task, self._worker) as lines,
            self._layout.pipes.fed(self._session.kill),
        ):
            outcome = self._session.run(self._task.environ, lines.add, work.timeout)
            if not outcome.has_begun:
                lines.add(outcome.reason)
        self._spent.add(outcome)
        self._say(f"finished running user code after {outcome.seconds:.3f} seconds")
        self._say_more(lambda: _describe(outcome))
        if outcome.ok and not self._holding.is_void:
            try:
                found = find_outputs(self._session.locate, self._inputs)
            except PachletError as error:
                return Outcome(False, error.message, None, 0.0, None), []
            self._say_more(lambda: f"{len(found)} output files found in /pfs/out")
            return outcome, found
        return outcome, []

    def _lay_out(self) -> None:
        files = self._head.inputs(self._lease, self._task)
        self._inputs = {each.path: each for each in files}
        if not self._session.protects_inputs:
            self._layout.clear()
        self._session.clear(keep_inputs=True)
        self._spent.download_bytes = sum(each.size for each in files if not each.is_lazy)
        self._layout.lay_out(files, lambda missing: self._head.read(self._lease, self._task, missing))

    def _recovers(self) -> bool:
        """Run err_cmd, if there is one, after a failed attempt; tell whether it succeeded."""
        work = self._lease.work
        if not work.transform.err_cmd:
            return False
        with (
            self._head.attempt(self._lease, self._task, self._worker) as lines,
            self._layout.pipes.fed(self._session.kill),
        ):
            outcome = self._session.run_err_cmd(self._task.environ, lines.add, work.timeout)
        self._spent.add(outcome)
        return outcome.ok

    def _say_more(self, line: Callable[[], str]) -> None:
        """Say what only somebody who looks for a fault wants to read (transform.debug)."""
        if self._lease.work.transform.debug:
            self._say(line())

    def _say(self, line: str) -> None:
        self._head.say(self._lease, self._task, self._worker, line)


def _describe(outcome: Outcome) -> str:
    code = "none" if outcome.exit_code is None else outcome.exit_code
    peak = "unknown" if outcome.peak_memory is None else show_bytes(outcome.peak_memory)
    return f"exit status {code}, peak memory {peak}"
