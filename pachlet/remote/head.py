"""The head of a worker at the other end of a connection: it speaks pachlet.v1.Work.

A thread of its own says every few seconds that the worker is still there, for all leases in hand. When the server
says that one is void, or can't be reached for so long that it must be, whoever holds the lease is told to stop.

Read next: ../worker/head.py (what is promised), ../api/work_service.py (the other end).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.client.connection import Connection
from pachlet.errors import FailedPrecondition, PachletError, Unavailable
from pachlet.remote.code import files_of, keep_code
from pachlet.worker.head import (
    AttemptLines,
    Hold,
    InputFile,
    Lease,
    LeaseLost,
    NoMoreWork,
    Output,
    Result,
    Task,
)
from pachlet.worker.host import host_image
from pachlet.worker.installing import Stopped
from pachlet.worker.interface import Prepared, Runner
from pachlet.worker.lease_messages import ending_message, read_lease
from pachlet.worker.scratch import open_file

SERVICE = "pachlet.v1.Work"
_PIECE = 1 << 20
_RENEWALS = 4  # in the life of a lease: so many may be lost but one
_RETRY = 1.0  # seconds between two attempts to reach the server
_LINES = 1000
_LINES_SIZE = 1 << 20


@dataclass
class _InHand:
    lease: Lease
    hold: Hold | None = None
    heard: float = 0.0
    should_yield: bool = False


class RemoteHead:
    """The Head at the far end of a connection (../worker/head.py has the promises)."""

    def __init__(self, connection: Connection, runner: Runner, snapshots: Path) -> None:
        self._connection = connection
        self._runner = runner
        self._snapshots = snapshots
        self._host_digest = host_image("any").digest
        self._lock = threading.Lock()
        self._in_hand: dict[str, _InHand] = {}
        self._preparing = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._renew_steadily, name="renewing", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more leases; those in hand are to stop."""
        self._closed.set()
        for each in self._all_in_hand():
            if each.hold is not None:
                each.hold.cancel("the worker stops")

    def take(self, worker: str, seconds: float) -> Lease | None:
        until = time.monotonic() + seconds
        while not self._closed.is_set():
            left = until - time.monotonic()
            # Not for too long at once: the server may be gone, and we may be told to stop.
            lease = self._try_to_take(worker, min(max(left, 0.0), _RETRY))
            if lease is not None or left <= _RETRY:
                return lease
        raise NoMoreWork

    def _try_to_take(self, worker: str, seconds: float) -> Lease | None:
        asked = time.monotonic()
        request = {"worker": worker, "patience_seconds": seconds, "host_digest": self._host_digest}
        try:
            answer = self._connection.call(SERVICE, "Take", request, timeout=30)
        except Unavailable:
            self._closed.wait(_RETRY)
            return None
        if not answer.HasField("lease"):
            return None
        lease = read_lease(answer.lease)
        with self._lock:
            self._in_hand[lease.token] = _InHand(lease, heard=asked)
        return lease

    def hold(self, lease: Lease, hold: Hold) -> None:
        with self._lock:
            found = self._in_hand.get(lease.token)
            if found is not None:
                found.hold = hold
        if found is None or self._closed.is_set():
            hold.cancel("the lease is void")

    def prepare(self, lease: Lease, say: Callable[[str], None]) -> Prepared:
        image = lease.work.image
        snapshot = self._snapshots / image.digest.removeprefix("sha256:")
        with self._preparing:
            if image.kind == "code" and not snapshot.exists():
                keep_code(self._stream("Code", {"token": lease.token}), snapshot)
        try:
            return self._runner.prepare(image, snapshot, say)
        except Stopped as error:  # no fault of the job's
            raise LeaseLost(error.message) from None

    def inputs(self, lease: Lease, task: Task) -> list[InputFile]:
        answers = self._stream("Inputs", {"token": lease.token, "datum": task.id})
        return [InputFile(each.path, each.key, each.size, each.is_lazy) for each in answers]

    def read(
        self, lease: Lease, task: Task, files: Sequence[InputFile]
    ) -> Iterator[tuple[InputFile, Iterator[bytes]]]:
        places = {each.path: number for number, each in enumerate(self.inputs(lease, task))}
        numbers = [places[each.path] for each in files]
        answers = self._stream("Read", {"token": lease.token, "datum": task.id, "numbers": numbers})
        for file, (_, _, blocks) in zip(files, files_of(answers), strict=True):
            yield file, blocks

    def settle(self, lease: Lease, task: Task, result: Result, outputs: Iterable[tuple[str, Output]]) -> None:
        def messages() -> Iterator[Any]:
            yield {"ending": ending_message(lease.token, task.id, result)}
            for path, place in outputs:
                if isinstance(place, InputFile):
                    yield {"piece": {"path": path, "input": place.path}}
                    continue
                yield {"piece": {"path": path}}
                with open_file(place) as file:
                    while block := file.read(_PIECE):
                        yield {"piece": {"bytes": block}}
            yield {"is_whole": True}

        self._ask(lambda: self._connection.send(SERVICE, "Settle", messages()))

    def should_yield(self, lease: Lease) -> bool:
        with self._lock:
            found = self._in_hand.get(lease.token)
            return found is None or found.should_yield

    @contextmanager
    def attempt(self, lease: Lease, task: Task, worker: str) -> Iterator[AttemptLines]:
        lines = _Lines(
            lambda printed: self._call(
                "Say", {"token": lease.token, "datum": task.id, "worker": worker, "printed": printed}
            )
        )
        yield lines
        lines.send(is_end=True)

    def say(self, lease: Lease, task: Task, worker: str, line: str) -> None:
        request = {"token": lease.token, "datum": task.id, "worker": worker, "line": line}
        self._call("Say", request)

    def give_back(self, lease: Lease, problem: Exception | None = None) -> None:
        with self._lock:
            self._in_hand.pop(lease.token, None)
        text = "" if problem is None else str(problem) or type(problem).__name__
        with suppress(LeaseLost):  # it is void already, or will be
            self._call("GiveBack", {"token": lease.token, "problem": text})

    def _call(self, method: str, request: dict[str, Any]) -> Any:
        return self._ask(lambda: self._connection.call(SERVICE, method, request))

    def _stream(self, method: str, request: dict[str, Any]) -> Iterator[Any]:
        answers = self._connection.call(SERVICE, method, request)
        while (answer := self._ask(lambda: next(answers, None))) is not None:
            yield answer

    def _ask(self, act: Callable[[], Any]) -> Any:
        """Call the server; that it can't be reached, or knows nothing of a lease, is the loss of the lease."""
        try:
            return act()
        except (FailedPrecondition, Unavailable) as error:
            raise LeaseLost(error.message, hint=error.hint) from None

    def _all_in_hand(self) -> list[_InHand]:
        with self._lock:
            return list(self._in_hand.values())

    def _renew_steadily(self) -> None:
        pause = _RETRY
        while not self._closed.wait(pause):
            pause = _RETRY
            for each in self._all_in_hand():
                assert each.lease.seconds is not None, "a server gives no lease for ever to those far away"
                pause = min(pause, each.lease.seconds / _RENEWALS)
                self._renew(each)

    def _renew(self, each: _InHand) -> None:
        asked = time.monotonic()
        lease = each.lease
        try:
            answer = self._connection.call(SERVICE, "Renew", {"token": lease.token}, timeout=lease.seconds)
        except FailedPrecondition as error:
            self._lose(each, error)
        except PachletError as error:
            if lease.seconds is not None and asked - each.heard > lease.seconds:
                self._lose(each, error)
        else:
            each.heard, each.should_yield = asked, answer.should_yield
            for datum in answer.restarts:
                if each.hold is not None:
                    each.hold.restart(datum, "it is begun anew")

    def _lose(self, each: _InHand, error: PachletError) -> None:
        with self._lock:
            self._in_hand.pop(each.lease.token, None)
        if each.hold is not None:
            each.hold.cancel(error.message)


class _Lines:
    """Gathers what the user's code prints, and sends it in pieces."""

    def __init__(self, send: Callable[[dict[str, Any]], Any]) -> None:
        self._send = send
        self._lines: list[str] = []
        self._size = 0
        self._sent = time.monotonic()

    def add(self, line: str) -> None:
        """Take one line."""
        self._lines.append(line)
        self._size += len(line)
        is_old = time.monotonic() - self._sent > _RETRY
        if len(self._lines) >= _LINES or self._size >= _LINES_SIZE or is_old:
            self.send()

    def send(self, *, is_end: bool = False) -> None:
        """Send what was gathered."""
        lines, self._lines, self._size = self._lines, [], 0
        self._sent = time.monotonic()
        self._send({"lines": lines, "is_end": is_end})
