"""The program of companions: each runs the datums of one lease after the other with a session of its own.

    companion_process.py SOCKET FOLDER...

The descriptor is a socket to the server, the folders are where modules are looked for. What comes on the socket are
descriptors of two more: a companion's socket to the server, and the launcher's door. For each pair there is another
companion, which is forked and so has nothing to import.

All end with the server, at once and whatever they are at: the launcher then ends what they had running.

Read next: companion.py (who starts this), datum_run.py (one datum).
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

if __name__ == "__main__":  # run as a program with -I -S: nothing is on the path
    sys.path[:] = sys.argv[2:]

from pachlet.errors import PachletError
from pachlet.worker import companion_messages as messages
from pachlet.worker.cgroups import Groups
from pachlet.worker.companion_messages import Channel
from pachlet.worker.datum_run import Holding
from pachlet.worker.head import InputFile, Lease, LeaseLost, Output, Result, Task
from pachlet.worker.launching import LauncherDoor
from pachlet.worker.outputs import take_small
from pachlet.worker.passing import receive
from pachlet.worker.process_session import ProcessSession
from pachlet.worker.seat import OwnSeat

_SOON = 0.01
"""Seconds that the server hears later what happened, so that it hears of many datums at once."""
_MANY = 64
"""So many messages are sent at once."""
_LONG = 0.05
"""After a datum that took so long we ask whether others wait, instead of being told a little later."""


class CompanionHead:
    """The server as the datums of a companion see it (head.py: DatumHead)."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._waiting_since = 0.0
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._asking = threading.Lock()
        self._answers: SimpleQueue[messages.Answer] = SimpleQueue()
        self._assignments: SimpleQueue[messages.Assignment | None] = SimpleQueue()
        self._holding_lock = threading.Lock()
        self._token = ""
        self._holding = Holding()
        self._cancelled: dict[str, str] = {}
        self._yields = False
        self._begun = 0.0

    def start(self) -> None:
        """Begin to listen to the server."""
        threading.Thread(target=self._listen, name="listening", daemon=True).start()

    def next_assignment(self) -> messages.Assignment | None:
        """Wait for a lease; None if there will be none any more."""
        return self._assignments.get()

    def begin(self, lease: Lease, holding: Holding) -> None:
        """Have what the server says of a lease reach the hand on it."""
        with self._holding_lock:
            self._token, self._holding, self._yields = lease.token, holding, False
            reason = self._cancelled.pop(lease.token, None)
            self._cancelled.clear()
        if reason is not None:
            holding.cancel(reason)

    def finish(self, problem: Exception | None, *, is_cleared: bool) -> None:
        """Tell the server that we are at the end of the lease."""
        with self._holding_lock:
            self._token, self._holding = "", Holding()
        with self._lock:
            self._waiting.append(messages.Done(problem, is_cleared))
            self._flush()

    def inputs(self, lease: Lease, task: Task) -> list[InputFile]:
        self._begun = time.monotonic()
        self._tell(messages.Begun(task.id, self._begun))
        assert lease.packed is not None, "a companion gets no other leases"
        return list(lease.packed.files[task.id])

    def read(
        self, lease: Lease, task: Task, files: Sequence[InputFile]
    ) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        assert lease.packed is not None, "a companion gets no other leases"
        for file in files:
            yield file, iter((lease.packed.contents[file.key],) if file.size else ())

    def settle(self, lease: Lease, task: Task, result: Result, outputs: Iterable[tuple[str, Output]]) -> None:
        outputs, began = list(outputs), time.monotonic()
        contents = take_small(outputs)
        now = time.monotonic()
        if contents is None:
            self._ask(messages.Settle(task.id, result, outputs))
        else:
            self._tell(messages.Settled(task.id, result, contents, now - began, now))

    def should_yield(self, lease: Lease) -> bool:
        if time.monotonic() - self._begun > _LONG:
            return bool(self._ask(messages.ShouldYield()))
        return self._yields

    @contextmanager
    def attempt(self, lease: Lease, task: Task, worker: str) -> Iterator[_Lines]:
        lines = _Lines(self, task.id)
        try:
            yield lines
        finally:
            if lines.has_printed:
                self._tell(messages.AttemptOver(task.id))

    def say(self, lease: Lease, task: Task, worker: str, line: str) -> None:
        self._tell(messages.Said(task.id, line))

    def print(self, datum: str, line: str) -> None:
        """Pass on a line that the user's code printed."""
        self._tell(messages.Printed(datum, line))

    def _tell(self, message: object) -> None:
        """Have the server told soon."""
        with self._lock:
            self._waiting.append(message)
            if len(self._waiting) == 1:
                self._waiting_since = time.monotonic()
                os.eventfd_write(self._woken, 1)
            elif len(self._waiting) >= _MANY or time.monotonic() - self._waiting_since > _SOON:
                self._flush()

    def _ask(self, request: object) -> object:
        with self._asking:
            with self._lock:
                self._waiting.append(request)
                self._flush()
            answer = self._answers.get()
        if answer.problem is not None:
            raise answer.problem
        return answer.value

    def _flush(self) -> None:
        some, self._waiting = self._waiting, []
        if some:
            try:
                self._channel.send(some)
            except OSError:
                os._exit(0)

    def _listen(self) -> None:
        """Take what the server says until it is gone; without this thread nothing of us may go on."""
        try:
            self._listen_on()
        except EOFError:
            pass
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(0)

    def _listen_on(self) -> None:
        """Take what the server says, and send what waits for too long, as the step may be silent for hours."""
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        patience: float | None = None
        while True:
            ready = [descriptor for descriptor, _ in poll.poll(patience)]
            if self._woken in ready:
                os.eventfd_read(self._woken)
            if self._channel.fileno() in ready:
                self._hear(self._channel.receive())
            with self._lock:
                if self._waiting and time.monotonic() - self._waiting_since >= _SOON:
                    self._flush()
                patience = 1000 * _SOON if self._waiting else None

    def _hear(self, message: Any) -> None:
        match message:
            case messages.Answer():
                self._answers.put(message)
            case messages.Assignment():
                self._assignments.put(message)
            case messages.Leave():
                self._assignments.put(None)
            case messages.Cancel(token, reason):
                with self._holding_lock:
                    holding = self._holding if token == self._token else None
                    if holding is None:  # it may be for the lease that comes
                        self._cancelled[token] = reason
                if holding is not None:
                    holding.cancel(reason)
            case messages.Restart(token, datum, reason):
                with self._holding_lock:
                    holding = self._holding if token == self._token else None
                if holding is not None:
                    holding.restart(datum, reason)
            case messages.Yield(token):
                with self._holding_lock:
                    self._yields |= token == self._token


class _Lines:
    """Takes what the user's code prints in one attempt."""

    def __init__(self, head: CompanionHead, datum: str) -> None:
        self._head = head
        self._datum = datum
        self.has_printed = False

    def add(self, line: str) -> None:
        """Take one line."""
        self.has_printed = True
        self._head.print(self._datum, line)


def main(requests: socket.socket) -> None:
    """Start companions until the server closes the socket or is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of one
    gc.freeze()  # so that those who are forked share what they don't change
    while (request := receive(requests, 16, 2))[0]:
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                companion(*request[1])
            except EOFError:  # the server was gone before it said anything
                pass
            except BaseException:
                sys.excepthook(*sys.exc_info())
            os._exit(0)
        for descriptor in request[1]:
            os.close(descriptor)


def companion(connection: int, door: int) -> None:
    """Work until the server says that it is enough."""
    channel = Channel(socket.socket(fileno=connection))
    opening: messages.Opening = channel.receive()
    groups = None
    if opening.groups is not None:
        groups = Groups(opening.groups, opening.groups_version, f"companion-{opening.number}")
    launcher = LauncherDoor(socket.socket(fileno=door), groups)
    head = CompanionHead(channel)
    session = ProcessSession(opening.place, lambda: launcher)
    seat = OwnSeat(head, session, opening.worker)
    head.start()
    while (assignment := head.next_assignment()) is not None:
        _work_on(assignment, head, seat)
    seat.close()


def _work_on(assignment: messages.Assignment, head: CompanionHead, seat: OwnSeat) -> None:
    holding = Holding()
    problem: Exception | None = None
    head.begin(assignment.lease, holding)
    try:
        seat.work_on(assignment.lease, {}, holding)
    except LeaseLost as error:
        holding.cancel(error.message)
    except Exception as error:
        if not isinstance(error, PachletError):
            error.add_note("".join(traceback.format_tb(error.__traceback__)))  # else that stays behind
        problem = error
    is_cleared = holding.let_go() and problem is None and _is_cleared(seat)
    head.finish(problem, is_cleared=is_cleared)


def _is_cleared(seat: OwnSeat) -> bool:
    try:
        seat.clear()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
