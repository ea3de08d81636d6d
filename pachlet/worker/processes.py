"""A process in a cell, as the server sees it: pass on what it prints, end it, say how it ended.

Everything about one process comes over its own pipes and its cell's sockets, so the thread that runs an attempt
watches them itself and no other thread is needed. Every process of the attempt is gone when the guard says so, and
when the guard itself is gone.

Read next: cells.py (where it is started), session.py (who watches it).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pachlet.worker.cells import Cell, Command
from pachlet.worker.interface import Log
from pachlet.worker.limits import out_of_memory, too_much

_CHUNK = 64 * 1024
"""A line that is longer is passed on in pieces of about this size."""
_READ = 16 * 1024
"""What is passed on in one turn: between two turns the clock and the other descriptors are looked at."""
_SOON, _LOOKS = 0.02, 100
"""How soon, and how often, to look again after an alarm."""


@dataclass(frozen=True)
class Ending:
    """What became of a process."""

    code: int | None
    """The exit code, minus the signal number, or None if it was never started or was ended by us."""
    problem: str
    """Why it was ended or not started, as a sentence; empty if it ended by itself."""
    seconds: float
    peak_memory: int | None = None


@dataclass(frozen=True)
class Doors:
    """What to do with the listening sockets that are made for a step in its own network."""

    worker: Callable[[socket.socket], None] = lambda listener: None
    """Gets that of the worker's service, once someone connects to it."""
    server: Callable[[socket.socket], None] = lambda listener: None
    """Gets that behind which the step expects the server, at once; a thread of its own serves it until it is shut."""


NO_DOORS = Doors()


def start(cell: Cell, command: Command, stdin: str | None, doors: Doors = NO_DOORS) -> Process:
    """Start a process in a cell that has none."""
    return Process(cell, *cell.start(command, stdin), doors)


class Process:
    """One process and its descendants. `kill` and `connect` may be called from any thread, the rest from one."""

    def __init__(self, cell: Cell, out: int, err: int, doors: Doors) -> None:
        self._cell = cell
        self._group = cell.group
        self._looks_left = 0
        self._doors = doors
        self._door_was_used = False
        self._server_door: socket.socket | None = None
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._ended: Ending | None = None
        self._killed_for = ""
        self._report: dict[str, Any] = {}
        self._rest = {out: b"", err: b""}
        # What it has to do with are plain numbers: what `selectors` makes of each turn costs more than the turn.
        self._poll = select.epoll()
        self._line, self._control = cell.line.fileno(), cell.control.fileno()
        self._is_heard = True  # until the end of the line
        self._listener = -1 if cell.listener is None else cell.listener.fileno()
        for source in (self._line, self._control, out, err):
            self._poll.register(source, select.EPOLLIN)
        if self._listener >= 0:
            self._poll.register(self._listener, select.EPOLLIN)
        self._wake: int | None = None  # what is registered besides
        self._alarm = self._group.alarm if self._group else -1
        if self._alarm >= 0:
            self._poll.register(self._alarm, select.EPOLLIN)

    def kill(self, reason: str) -> None:
        """End the process and all its descendants; the first reason counts. Returns at once."""
        with self._lock:
            if self._ended is None and not self._killed_for:
                self._killed_for = reason
                self._cell.kill()

    def connect(self, port: int) -> socket.socket:
        """Begin to connect to a port of the step's own network (interface.py has the promises)."""
        return self._cell.connect(port)

    def watch(self, log: Log, timeout: float | None, wake: int | None = None) -> Ending | None:
        """Pass on lines until the process and all that it started are gone; after `timeout` seconds, kill it.

        Returns None, with the process still running, when the descriptor `wake` becomes readable first.
        """
        if self._ended is not None:
            return self._ended
        self._watch_for(wake)
        try:
            return self._watch(log, timeout, wake)
        except BaseException:
            self.kill("its output could not be passed on")
            self._watch_for(None)
            self._watch(lambda line: None, None, None)
            raise

    def _watch_for(self, wake: int | None) -> None:
        if wake != self._wake:
            if self._wake is not None:
                self._poll.unregister(self._wake)
            if wake is not None:
                self._poll.register(wake, select.EPOLLIN)
            self._wake = wake

    def _watch(self, log: Log, timeout: float | None, wake: int | None) -> Ending | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if self._looks_left:
                left = _SOON if left is None else min(left, _SOON)
                self._check_memory()
            ready = [source for source, _ in self._poll.poll(left)]
            # On every turn: a step that prints without a pause always has something ready.
            if deadline is not None and time.monotonic() >= deadline:
                self.kill(f"timed out after {timeout:g} seconds")
                deadline = None
            if wake in ready:
                self._read_all(log, ready)
                return None
            for source in ready:
                if source in self._rest:
                    self._read(source, log)
            if self._listener in ready:
                self._let_in()
            if self._alarm in ready:
                os.eventfd_read(self._alarm)
                self._looks_left = _LOOKS
            if self._is_over(ready):
                self._read_all(log, list(self._rest))
                return self._end()

    def _is_over(self, ready: list[int]) -> bool:
        """Hear what the guard has to say; tell whether every process of the attempt is gone."""
        if self._line in ready and not self._hear():
            self._poll.unregister(self._line)
            self._is_heard = False
        if self._control in ready:
            while self._is_heard and self._hear():
                if "over" in self._report:
                    break
            return True
        return "over" in self._report

    def _hear(self) -> bool:
        """Take one message of the guard; tell whether there was one rather than the end."""
        heard = self._cell.hear()
        if heard is None:
            return False
        report, descriptors = heard
        if report.get("door") == "server":
            self._server_door = socket.socket(fileno=descriptors[0])
            self._doors.server(self._server_door)
        elif descriptors:
            self._cell.listener = socket.socket(fileno=descriptors[0])
            self._listener = self._cell.listener.fileno()
            self._poll.register(self._listener, select.EPOLLIN)
        self._report = {**report, **self._report}  # what was said first counts
        return True

    def _check_memory(self) -> None:
        """End the attempt if the kernel ended one of its processes for want of memory: the others may wait for it.

        The alarm comes before the kernel does that, and also when it does it to another attempt.
        """
        assert self._group is not None
        self._looks_left -= 1
        if self._group.ran_out():
            self._looks_left = 0
            self.kill(out_of_memory(self._group.limits, self._group.peak()))

    def _let_in(self) -> None:
        assert self._cell.listener is not None
        self._door_was_used = True
        self._poll.unregister(self._listener)
        self._listener = -1
        self._doors.worker(self._cell.listener)

    def _read_all(self, log: Log, ready: list[int]) -> None:
        """Pass on what was printed until now, also a line that has no end yet; nothing is where it is not `ready`.

        What is printed meanwhile is left: a step may never stop.
        """
        for source in list(self._rest):
            left = _waiting(source) if source in ready else 0
            while left > 0:
                left -= self._read(source, log, left)
            if self._rest.get(source):
                log(_text(self._rest[source]))
                self._rest[source] = b""

    def _read(self, source: int, log: Log, at_most: int = _READ) -> int:
        """Read once, where something is there or the end is; return the number of bytes."""
        chunk = os.read(source, min(at_most, _READ))
        *lines, rest = (self._rest[source] + chunk).split(b"\n")
        if len(rest) >= _CHUNK or (not chunk and rest):
            lines, rest = [*lines, rest], b""
        for line in lines:
            log(_text(line))
        self._rest[source] = rest
        if not chunk:
            self._close(source)
        return len(chunk)

    def _close(self, source: int) -> None:
        del self._rest[source]
        self._poll.unregister(source)
        os.close(source)

    def _end(self) -> Ending:
        for source in list(self._rest):
            self._close(source)
        self._poll.close()
        if self._server_door is not None:
            with contextlib.suppress(OSError):  # the door's thread may have met its end first
                self._server_door.shutdown(socket.SHUT_RDWR)
            self._server_door.close()
        with self._lock:
            self._ended = self._judge(self._report)
            is_fit = not self._killed_for and not self._door_was_used and bool(self._report.get("is_fit"))
        self._cell.let_go(is_fit=is_fit)
        return self._ended

    def _judge(self, report: dict[str, Any]) -> Ending:
        seconds = time.monotonic() - self._started
        peak = self._group.peak() if self._group else report.get("peak")
        if self._group is not None and self._group.ran_out():
            return Ending(None, out_of_memory(self._group.limits, peak), seconds, peak)
        if self._killed_for:
            return Ending(None, self._killed_for, seconds, peak)
        if "excess" in report:
            found = report["excess"]
            return Ending(None, too_much(found["what"], found["limit"], found["used"]), seconds, peak)
        if "error" in report:
            return Ending(None, report["error"], seconds)
        if "refused" in report:
            return Ending(report["code"], f"{report['refused']}: {report['why']}", seconds)
        if "code" in report:
            return Ending(report["code"], "", report["seconds"], peak)
        return Ending(None, "the process was ended from outside", seconds)


def _waiting(source: int) -> int:
    """Return how many bytes lie in a pipe now."""
    (number,) = struct.unpack("i", fcntl.ioctl(source, termios.FIONREAD, bytes(4)))
    return int(number)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")
