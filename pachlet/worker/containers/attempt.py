"""One attempt in a container, seen from outside: pass on what it prints, end it, say how it ended.

The engine sends both streams of a container through one connection, in frames: a byte that says which stream, and a
length. In a warm container an attempt is over when its mark has come on both; in a fresh one when the connection ends.
A process that stays asks for its next datum by another way than it prints, so a mark has to say when all is here that
it printed before it asked.

Read next: launcher.py (who starts attempts), loop.py (who writes the marks).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable

from pachlet.worker.containers.loop import SAY
from pachlet.worker.containers.memory import Memory
from pachlet.worker.interface import Log
from pachlet.worker.limits import too_much
from pachlet.worker.processes import Ending
from pachlet.worker.watchdog import INTERVAL, Watchdog

_HEADER = struct.Struct(">BxxxL")
_CHUNK = 64 * 1024
"""A line that is longer is passed on in pieces of about this size."""
_READ = 16 * 1024
_SIGNALS = range(128 + 1, 128 + 65)
"""How a shell says that a signal ended a program."""


class ContainerAttempt:
    """An attempt in hand. `kill` may be called from any thread, the rest from one."""

    def __init__(
        self,
        stream: socket.socket,
        mark: str,
        end_container: Callable[[], None],
        exit_code: Callable[[], tuple[int | None, str]],
        memory: Memory,
        watchdog: Watchdog | None,
        address: str,
    ) -> None:
        """Watch `stream`; `mark` is '' in a fresh container, whose end is the attempt's.

        `end_container` ends all that runs and returns when nothing is left; `exit_code` is asked for the code of a
        container that ended by itself; `address` is the container's, if it has one.
        """
        self._watchdog = watchdog
        self._address = address
        self._stream = stream
        self._mark = f"\0{mark}".encode() if mark else b""
        self._end_container = end_container
        self._exit_code = exit_code
        self._memory = memory
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._killed_for = ""
        self._killer: threading.Thread | None = None
        self._data = b""
        self._rest = {1: b"", 2: b""}
        self._open = {1, 2}
        self._pause = b""
        self._pausing: set[int] = set()
        self._said = ""
        self._ended: Ending | None = None

    def kill(self, reason: str) -> None:
        """End the attempt and all that it started; the first reason counts. Returns at once."""
        with self._lock:
            if self._ended is None and not self._killed_for:
                self._killed_for = reason
                self._killer = threading.Thread(
                    target=self._end_container, name="container-kill", daemon=True
                )
                self._killer.start()

    def connect(self, port: int) -> socket.socket:
        """Begin to connect to a port of the container's; the socket does not block.

        Raises:
            ConnectionError: the container has no address that this machine can reach.
        """
        if not self._address or self._ended is not None:
            raise ConnectionError("the container has no address on this machine")
        found = socket.socket()
        found.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            found.connect((self._address, port))
        return found

    def watch(self, log: Log, timeout: float | None, wake: int | None = None) -> Ending | None:
        """Pass on lines until the attempt is over; after `timeout` seconds, end it.

        Returns None, with the attempt still running, when the descriptor `wake` becomes readable first.
        """
        if self._ended is not None:
            return self._ended
        try:
            return self._watch(log, timeout, wake)
        except BaseException:
            self.kill("its output could not be passed on")
            self._watch(lambda line: None, None, None)
            raise

    def _watch(self, log: Log, timeout: float | None, wake: int | None) -> Ending | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._stream, selectors.EVENT_READ)
            if wake is not None:
                selector.register(wake, selectors.EVENT_READ)
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                if self._watchdog is not None:
                    left = INTERVAL if left is None else min(left, INTERVAL)
                ready = {key.fd for key, _ in selector.select(left)}
                self._look_after()
                if deadline is not None and time.monotonic() >= deadline:
                    self.kill(f"timed out after {timeout:g} seconds")
                    deadline = None
                if self._stream.fileno() in ready:
                    chunk = self._receive()
                    self._take(chunk, log)
                    if not chunk or not self._open:
                        return self._end(log)
                    if self._pause and not self._pausing:
                        break
                if wake is not None and wake in ready and not self._pause:
                    if not self._begin_pause():
                        break
                    selector.unregister(wake)
        self._pause = b""
        self._pass_on_rest(log)  # a line that has no end yet: the process goes on, but its datum is done
        return None

    def _begin_pause(self) -> bool:
        """Have a mark written behind all that was printed; tell whether one will come."""
        mark = new_mark()
        try:
            self._stream.sendall(f"{SAY} {mark}\n".encode() if self._mark else b"")
        except OSError:
            return False  # the container is gone, and the stream is about to say so
        self._pause = f"\0{mark}\n".encode() if self._mark else b""
        self._pausing = set(self._open) if self._pause else set()
        return bool(self._pause)

    def _look_after(self) -> None:
        if self._watchdog is not None and (excess := self._watchdog.look()) is not None:
            self.kill(too_much(*excess))
            self._watchdog = None

    def _receive(self) -> bytes:
        try:
            return self._stream.recv(_READ)
        except OSError:
            return b""  # the engine hung up: the container is gone

    def _take(self, chunk: bytes, log: Log) -> None:
        self._data += chunk
        while len(self._data) >= _HEADER.size:
            source, length = _HEADER.unpack(self._data[: _HEADER.size])
            end = _HEADER.size + length
            if len(self._data) < end:
                return
            text, self._data = self._data[_HEADER.size : end], self._data[end:]
            if source in self._open:
                self._print(source, text, log)

    def _print(self, source: int, text: bytes, log: Log) -> None:
        text = self._rest[source] + text
        if source in self._pausing and self._pause in text:
            said, _, text = text.partition(self._pause)
            self._pausing.discard(source)
            self._rest[source] = b""
            if said:
                self._print(source, said.removesuffix(b"\n") + b"\n", log)
        before, found, after = text.partition(self._mark) if self._mark else (text, b"", b"")
        if found and b"\n" not in after:
            self._rest[source] = text  # half a mark
            return
        *lines, rest = before.split(b"\n")
        if len(rest) >= _CHUNK and not found:
            piece, null, tail = rest.partition(b"\0")  # what follows may be the first half of a mark
            lines, rest = ([*lines, piece], null + tail) if piece else ([*lines, rest], b"")
        if found:
            lines += [rest] if rest else []
            rest = b""
            self._open.discard(source)
            self._said = self._said or after.decode(errors="replace").strip() if source == 1 else self._said
        for line in lines:
            log(line.decode("utf-8", errors="replace"))
        self._rest[source] = rest

    def _pass_on_rest(self, log: Log) -> None:
        """Pass on a line that has no end yet."""
        for source, rest in self._rest.items():
            if rest and self._mark not in rest:
                log(rest.decode("utf-8", errors="replace"))
                self._rest[source] = b""

    def _end(self, log: Log) -> Ending:
        self._pass_on_rest(log)
        if self._killer is not None:
            self._killer.join()
        with self._lock:
            self._ended = self._judge()
        if self._pausing and self._killer is None:
            self._end_container()  # the mark that is still to come would be taken for what the next attempt prints
        return self._ended

    def _judge(self) -> Ending:
        seconds = time.monotonic() - self._started
        if self._killed_for:
            if self._killer is not None:
                self._killer.join()
            return Ending(None, self._killed_for, seconds)
        peak, complaint = self._memory.peak(), self._memory.complaint()
        if not self._open and self._mark:
            code, _, problem = self._said.partition(" ")
            signed = _signed(int(code))
            # A complaint counts where the step ended badly: one that survives what the kernel ended goes on.
            return Ending(signed, problem or (complaint if signed else ""), seconds, peak)
        exit_code, problem = self._exit_code()
        return Ending(None if exit_code is None else _signed(exit_code), problem or complaint, seconds, peak)


def _signed(code: int) -> int:
    """Return an exit code as a Python parent sees it: minus the signal's number where one ended the program."""
    return 128 - code if code in _SIGNALS else code


def new_mark() -> str:
    """Return a word that no step can guess."""
    return os.urandom(16).hex()
