"""One worker: run attempts, one process each, or hand datums to one process that stays.

What is the same for every runner is here: killing, timeouts, datum batching, and what is said of an ending. How a
process is started is the runner's: process_session.py, containers/session.py.

Read next: attempts.py (what a process is given), batching.py (the process that stays).
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from pachlet.errors import InvalidArgument
from pachlet.worker.attempts import Place
from pachlet.worker.batching import Door, Handover, refuse
from pachlet.worker.interface import NOT_IN_IMAGE, Log, Outcome
from pachlet.worker.limits import file_too_large
from pachlet.worker.processes import Doors, Ending
from pachlet.worker.relaying import relay
from pachlet.worker.scratch import empty, make_apart, remove, spread

_NOT_RUNNABLE, _NOT_FOUND = 126, 127


@dataclass(frozen=True)
class _Batch:
    """A user process that serves one datum after the other."""

    process: Attempt
    handover: Handover
    door: Door


class Attempt(Protocol):
    """A process in hand with all that it started. `kill` and `connect` may be called from any thread."""

    def watch(self, log: Log, timeout: float | None, wake: int | None = None) -> Ending | None:
        """Pass on lines until nothing is left of it, or (None) until the descriptor `wake` is readable."""

    def kill(self, reason: str) -> None:
        """End it; the first reason counts. Returns at once."""

    def connect(self, port: int) -> socket.socket:
        """Begin to connect to one of its ports; raise ConnectionError."""


class Meter(Protocol):
    """Measures the memory of attempts."""

    def begin(self) -> object:
        """Count anew."""

    def peak(self) -> int | None:
        """Return the most bytes since then, where known."""


class AttemptSession(ABC):
    """The Session of a runner (interface.py has the promises) that says how a process is started."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._meter: Meter | None = None
        self._lock = threading.Lock()
        self._busy = False
        self._process: Attempt | None = None
        self._killed_for = ""
        self._stopped_for = ""
        self._batch: _Batch | None = None
        self._is_clean = False
        self.pfs.mkdir(parents=True, exist_ok=True)
        spread(self.pfs)
        if not self.out.exists():
            make_apart(self.out)

    @property
    def place(self) -> Place:
        """What it works with, which is all that another session of the same needs."""
        return self._place

    @property
    def pfs(self) -> Path:
        return self._place.pfs

    @cached_property
    def out(self) -> Path:
        return self._place.pfs / "out"

    def locate(self, path: str) -> str | None:
        return self._place.locate(path)

    @property
    def protects_inputs(self) -> bool:
        return self._place.sandboxed

    def clear(self, *, keep_inputs: bool = False) -> None:
        if not keep_inputs:
            empty(self.pfs, keep="out")
        if self._is_clean:  # and no process is there that could have written to it
            return
        empty(self.out)
        if self._batch is None:
            if self._place.tmp.exists():
                empty(self._place.tmp)
            self._is_clean = True
        # else a process that stays may hold files in /tmp, and write to both at any time

    def run(self, environ: Mapping[str, str], log: Log, timeout: float | None = None) -> Outcome:
        transform, added = self._place.transform, self._place.datum_environ(environ)
        self._place.write_env_file(added)
        with self._attempt():
            if transform.datum_batching:
                return self._run_next(added, log, timeout)
            return self._run_once(transform.cmd, transform.stdin, environ, log, timeout)

    def run_err_cmd(self, environ: Mapping[str, str], log: Log, timeout: float | None = None) -> Outcome:
        transform = self._place.transform
        with self._attempt():
            return self._run_once(transform.err_cmd, transform.err_stdin, environ, log, timeout)

    def connect(self, port: int) -> socket.socket:
        with self._lock:
            process = self._process
        if process is None:
            raise ConnectionError("the step is not running")
        return process.connect(port)

    def kill(self, reason: str = "killed", *, for_good: bool = False) -> None:
        with self._lock:
            if for_good:
                self._stopped_for = self._stopped_for or reason
            if self._busy:
                self._killed_for = self._killed_for or reason
            if self._process is not None:
                self._process.kill(reason)

    def close(self) -> None:
        self._end_batch()
        self._release()
        for folder in (self._place.folder, self._place.volume):
            if folder.exists():
                remove(folder)

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Mark an attempt as in hand, so that a kill reaches it even before it has a process."""
        self._is_clean = False
        with self._lock:
            self._busy, self._killed_for = True, self._stopped_for
        try:
            yield
        finally:
            with self._lock:
                self._busy, self._process = False, None

    def _in_hand(self, process: Attempt) -> Attempt:
        with self._lock:
            self._process = process
            if self._killed_for:
                process.kill(self._killed_for)
        return process

    def _run_once(
        self,
        cmd: Sequence[str],
        stdin: Sequence[str] | None,
        environ: Mapping[str, str],
        log: Log,
        timeout: float | None,
    ) -> Outcome:
        door = Door(refuse, self._place.folder)
        try:
            ending = self._in_hand(self._start(cmd, stdin, environ, door)).watch(log, timeout)
        except InvalidArgument as problem:
            return _failed(str(problem))
        finally:
            door.close()
        assert ending is not None, "without `wake` a process is watched to its end"
        return self._judge(ending)

    def _run_next(self, added: Mapping[str, str], log: Log, timeout: float | None) -> Outcome:
        """Hand the datum to the process that stays, starting it if there is none; `added` is its environment."""
        started = time.monotonic()
        try:
            batch = self._batch or self._start_batch()
        except InvalidArgument as problem:
            return _failed(str(problem))
        process, handover = self._in_hand(batch.process), batch.handover
        if self._batch is not None and self._meter is not None:
            self._meter.begin()
        if self._batch is None:
            self._batch = batch
            # the first call has no datum behind it, so no error either
            if isinstance(ending := _question(process, handover, log, timeout), Ending):
                return self._give_up(ending)
        handover.give([f"{key}={value}" for key, value in added.items()])
        if isinstance(error := _question(process, handover, log, timeout), Ending):
            return self._give_up(error)
        seconds = time.monotonic() - started
        peak = self._meter.peak() if self._meter else None
        if error:
            self._end_batch(log)
            return Outcome(False, error, None, seconds, peak)
        return Outcome(True, "", None, seconds, peak)

    def _start_batch(self) -> _Batch:
        transform = self._place.transform
        handover = Handover()
        door = Door(handover.next_datum, self._place.folder, handover.adopt)
        try:
            return _Batch(self._start(transform.cmd, transform.stdin, {}, door), handover, door)
        except BaseException:
            handover.close()
            raise

    def _give_up(self, ending: Ending) -> Outcome:
        """Judge a process that ended while it had a datum: that is never ok."""
        self._end_batch()
        outcome = self._judge(ending)
        if outcome.ok:
            return Outcome(
                False, "user code exited prematurely", ending.code, ending.seconds, ending.peak_memory
            )
        return outcome

    def _end_batch(self, log: Log | None = None) -> None:
        if self._batch is not None:
            batch, self._batch = self._batch, None
            batch.process.kill("it is no longer needed")
            batch.process.watch(log or (lambda line: None), timeout=None)
            batch.handover.close()
            batch.door.close()

    def _start(
        self, cmd: Sequence[str], stdin: Sequence[str] | None, environ: Mapping[str, str], door: Door
    ) -> Attempt:
        if not cmd:
            raise InvalidArgument("invalid pipeline transform, no command specified")
        text = None if stdin is None else "\n".join(stdin) + "\n"
        return self._begin(cmd, text, environ, Doors(worker=door.let_in, server=self._lead_to_server))

    @abstractmethod
    def _begin(
        self, cmd: Sequence[str], stdin: str | None, environ: Mapping[str, str], doors: Doors
    ) -> Attempt:
        """Start `cmd` with the datum's `environ`.

        Raises:
            InvalidArgument: it can't be started as the spec wants it.
        """

    @abstractmethod
    def _release(self) -> None:
        """Give back whatever the runner holds for this worker; nothing runs any more. May be called twice."""

    def _lead_to_server(self, listener: socket.socket) -> None:
        host, _, port = self._place.server.rpartition(":")
        relay(listener, lambda: socket.create_connection((host.strip("[]"), int(port))))

    def _judge(self, ending: Ending) -> Outcome:
        code = ending.code if ending.code is None or ending.code >= 0 else None
        reason, limits = ending.problem, self._place.transform.limits
        if ending.code == _NOT_FOUND and ending.problem:
            reason = f"{ending.problem.partition(':')[0]} {NOT_IN_IMAGE} {self._place.transform.image}"
        elif not reason and limits.disk is not None and ending.code == -signal.SIGXFSZ:
            reason = file_too_large(limits.disk)
        elif not reason and ending.code is not None and ending.code < 0:
            reason = f"signal: {(signal.strsignal(-ending.code) or str(-ending.code)).lower()}"
        elif not reason and ending.code not in (0, *self._place.transform.accept_return_code):
            reason = f"exit status {ending.code}"
        has_begun = not ending.problem or ending.code not in (_NOT_FOUND, _NOT_RUNNABLE)
        return Outcome(not reason, reason, code, ending.seconds, ending.peak_memory, has_begun)


def _question(process: Attempt, handover: Handover, log: Log, timeout: float | None) -> Ending | str:
    """Watch until the process asks for a datum; return the error that it reports of the last one, or how it ended."""
    while True:
        if (ending := process.watch(log, timeout, handover.wake)) is not None:
            return ending
        if (error := handover.take()) is not None:
            return error


def _failed(reason: str) -> Outcome:
    return Outcome(False, reason, None, 0.0, None, has_begun=False)
