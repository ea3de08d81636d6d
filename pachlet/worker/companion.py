"""A companion: a process beside the server that runs the many short datums of leases with a session of its own.

The threads of a process take turns at Python's lock. With datum batching a datum costs us more than many a step, and
two workers were hardly faster than one. A companion gets a lease with all that its datums read, runs them, and tells
what came of many at a time; here one thread records it. It is given small inputs only, so it needs nothing of the
store, and it asks the server's own launcher for sandboxes, so that limits are kept by the same means.

Whatever ends a companion is no loss: what it has not told is run again, by workers of this process.

Read next: companion_process.py (its program), seat.py (the same in this process).
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pachlet.errors import Refused, Unavailable
from pachlet.worker import companion_messages as messages
from pachlet.worker.attempts import Place
from pachlet.worker.companion_messages import Channel
from pachlet.worker.datum_run import Holding
from pachlet.worker.head import AttemptLines, Lease, LeaseLost, NearHead, Output, Result, Task, worker_name
from pachlet.worker.interface import Prepared
from pachlet.worker.launching import Launcher
from pachlet.worker.nursery import Nursery
from pachlet.worker.process import ProcessRunner
from pachlet.worker.scratch import remove
from pachlet.worker.warm import Sessions, Warm

log = logging.getLogger(__name__)
MANY = 32
"""A lease of fewer datums is worked on in this process: what they take is not worth starting another."""
_END_SECONDS = 30.0


class CompanionLost(Unavailable):
    """The process is gone."""


class Companions:
    """Finds companions for leases; safe from any thread."""

    def __init__(self, runner: ProcessRunner, head: NearHead) -> None:
        self._runner = runner
        self._head = head
        self._numbers = itertools.count()

    def pack(self, lease: Lease) -> Lease:
        """Return those of a lease's datums that are for a companion, with all that they read; or else the same lease.

        What is left out is the next lease's.
        """
        work = lease.work
        if not work.transform.datum_batching or len(lease.tasks) < MANY or work.apart or self._runner.probe():
            return lease
        packed = self._head.pack(lease)
        if packed is None or len(packed.files) < MANY:
            return lease
        return replace(lease, packed=packed, tasks=[each for each in lease.tasks if each.id in packed.files])

    def take(self, sessions: Sessions, lease: Lease, prepared: Prepared) -> Warm:
        """Return a companion for a packed lease, warm if there is one."""
        work = lease.work

        def open_one(number: int, folder: Path) -> Companion:
            name = f"{worker_name(work, number)}-companion"  # the server's own have the same numbers
            environ = {**work.environ, "PPS_POD_NAME": name}
            # What it works with is that of a session, which is opened anew over there.
            place = self._runner.open(prepared, work.transform, folder, environ, network=work.network).place
            try:
                return Companion(
                    place,
                    self._runner.nursery,
                    self._runner.launcher(),
                    self._head,
                    name,
                    next(self._numbers),
                )
            except BaseException:
                _remove(place)
                raise

        return sessions.take(("companion", work.key), work.stays_warm, open_one, has_code=True)


class Companion:
    """The Seat (seat.py has the promises) that is a process of its own."""

    def __init__(
        self,
        place: Place,
        nursery: Nursery,
        launcher: Launcher,
        head: NearHead,
        worker: str,
        number: int,
    ) -> None:
        """Start the process; raises Unavailable where there can't be another."""
        self._place = place
        self._launcher = launcher
        self._head = head
        self._worker = worker
        self._channel = Channel(nursery.start(launcher.door.fileno()))
        self._is_cleared = True
        groups = launcher.groups
        bases, version = (groups.bases, groups.version) if groups else (None, "")
        self._send(messages.Opening(place, worker, bases, version, number))

    def work_on(self, lease: Lease, ran: Mapping[str, Any], holding: Holding) -> None:
        self._is_cleared = False
        if not self._launcher.is_running():
            raise CompanionLost("the launcher of a companion is gone")
        try:
            self._send(messages.Assignment(lease))
            self._head.hold(lease, _Forward(self, lease, holding))
            done = _Hearing(self, self._head, lease, ran, self._worker).to_the_end()
        except CompanionLost:
            self._head.lose(lease)
            raise
        self._is_cleared = done.is_cleared
        if done.problem is not None:
            if not self._launcher.is_running():
                raise CompanionLost("the launcher of a companion is gone") from done.problem
            raise done.problem

    def clear(self) -> None:
        if not self._is_cleared:
            raise OSError("a companion could not clear its folder")

    def close(self) -> None:
        self.tell(messages.Leave())
        self._channel.wait_for_end(_END_SECONDS)
        self._channel.close()  # whatever it is at, it ends now
        _remove(self._place)  # if it was killed

    def tell(self, message: object) -> None:
        """Send a message; if the process is gone, whoever waits for its words sees that."""
        try:
            self._channel.send(message)
        except OSError:
            log.debug("a companion is gone")

    def hear(self) -> list[Any]:
        """Wait for the next messages; raises CompanionLost."""
        try:
            heard: list[Any] = self._channel.receive()
        except EOFError:
            raise CompanionLost(f"the process of worker {self._worker} is gone") from None
        return heard

    def _send(self, message: object) -> None:
        try:
            self._channel.send(message)
        except OSError:
            raise CompanionLost(f"the process of worker {self._worker} is gone") from None


class _Forward:
    """A companion's hand on a lease (head.py: Hold)."""

    def __init__(self, companion: Companion, lease: Lease, holding: Holding) -> None:
        self._companion = companion
        self._token = lease.token
        self._holding = holding

    def cancel(self, reason: str) -> None:
        self._holding.cancel(reason)
        self._companion.tell(messages.Cancel(self._token, reason))

    def restart(self, datum: str, reason: str) -> None:
        self._companion.tell(messages.Restart(self._token, datum, reason))


class _Hearing:
    """Does what a companion says of one lease."""

    def __init__(
        self, companion: Companion, head: NearHead, lease: Lease, ran: Mapping[str, Any], worker: str
    ) -> None:
        self._companion = companion
        self._head = head
        self._lease = lease
        self._tasks = {each.id: each for each in lease.tasks}
        self._ran = ran
        self._worker = worker
        self._problem: Exception | None = None
        self._printing: tuple[AbstractContextManager[AttemptLines], AttemptLines] | None = None

    def to_the_end(self) -> messages.Done:
        """Return how the lease ended; raises CompanionLost, or what kept us from recording it."""
        told_to_yield = False
        try:
            while True:
                for message in self._companion.hear():
                    if isinstance(message, messages.Done):
                        if self._problem is not None:
                            raise self._problem
                        return message
                    self._do(message)
                if not told_to_yield and self._head.should_yield(self._lease):
                    told_to_yield = True
                    self._companion.tell(messages.Yield(self._lease.token))
        finally:
            self._end_attempt()

    def _do(self, message: Any) -> None:
        """Do what one message says; whatever goes wrong is kept until the companion has come to an end."""
        match message:
            case messages.Settle(datum, result, outputs):
                self._companion.tell(self._settle(self._tasks[datum], result, outputs))
            case messages.ShouldYield():
                self._companion.tell(messages.Answer(self._head.should_yield(self._lease)))
            case _ if self._problem is None:
                try:
                    self._note(message)
                except Exception as error:  # LeaseLost or another
                    self._give_up(error)

    def _note(self, message: Any) -> None:
        head, lease = self._head, self._lease
        match message:
            case messages.Settled(datum, result, contents, seconds, at):
                result = replace(result, provenance=self._ran)
                head.record(lease, self._tasks[datum], result, contents, seconds, time.monotonic() - at)
            case messages.Begun(datum, at):
                head.begin(lease, self._tasks[datum], time.monotonic() - at)
            case messages.Said(datum, line):
                head.say(lease, self._tasks[datum], self._worker, line)
            case messages.Printed(datum, line):
                self._lines(self._tasks[datum]).add(line)
            case messages.AttemptOver():
                self._end_attempt()

    def _settle(self, task: Task, result: Result, outputs: Sequence[tuple[str, Output]]) -> messages.Answer:
        try:
            self._head.settle(self._lease, task, replace(result, provenance=self._ran), outputs)
        except (LeaseLost, Refused) as problem:
            return messages.Answer(None, problem)
        except Exception as problem:  # which is ours, with all that it says of where it happened
            self._give_up(problem)
            return messages.Answer(None, LeaseLost("the server could not record a datum"))
        return messages.Answer(None)

    def _give_up(self, problem: Exception) -> None:
        if self._problem is None:
            self._problem = problem
            self._companion.tell(messages.Cancel(self._lease.token, str(problem)))

    def _lines(self, task: Task) -> AttemptLines:
        if self._printing is None:
            attempt = self._head.attempt(self._lease, task, self._worker)
            self._printing = attempt, attempt.__enter__()
        return self._printing[1]

    def _end_attempt(self) -> None:
        if self._printing is not None:
            attempt, _ = self._printing
            self._printing = None
            attempt.__exit__(None, None, None)


def _remove(place: Place) -> None:
    """Remove what a companion has left; what it had running may just be ending."""
    for folder in (place.folder, place.volume):
        if folder.exists():
            try:
                remove(folder)
            except OSError as error:
                log.info("the folder of a companion that is gone is left: %s", error)
