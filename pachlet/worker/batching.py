"""Datum batching: one user process asks the worker for datum after datum.

The user code calls NextDatum of pachyderm.worker.Worker in a loop: each call reports the last datum's error
(none if it went well) and blocks until the next one lies in /pfs. The service is at 127.0.0.1 inside the
step's own network namespace: the guard made the listening socket there and passed it out, and here its
connections are handed on to a gRPC server on a Unix socket, which no other step can reach.

Steps written with pachlet/step.py ask the same in lines of JSON, at the same port: a step that imports no gRPC starts
in a third of the time, and the thread that runs the attempts reads its questions and answers them itself. Where that
thread would have to wait for the step (half a line, an answer that is not read), a thread of its own does.

Read next: process.py (when a datum is handed over), ../step.py (the user code's side).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pachlet.worker.relaying import hand_on_both_ways, serve_each

if TYPE_CHECKING:
    from pachlet.worker.next_datum import NextDatum

_SOCKET_PATH_MAX = 107
HELLO = b"pachlet datums 1\n"
"""What who asks in lines begins with; gRPC begins otherwise."""
_ALL_WELL = b'{"error": ""}\n'
"""How step.py asks after a datum that went well."""
_USUAL_LINE, _LONGEST_LINE = 1 << 14, 1 << 20


class NoDatum(Exception):
    """There will be no next datum for this call; the message says why."""


def refuse(error: str) -> list[str]:
    """Answer NextDatum where the spec does not ask for datum batching."""
    raise NoDatum("datum batching not enabled")


class Handover:
    """Where the calls of one user process and the session's attempts meet.

    Each process has its own, so that a late call of one that was killed can't be taken for its successor's.
    """

    def __init__(self) -> None:
        self._calls = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._askers = select.epoll()
        self._askers.register(self._calls, select.EPOLLIN)
        self.wake = self._askers.fileno()
        """Readable while someone may ask whom `take` has not seen."""
        self._one_call = threading.Lock()
        self._changed = threading.Condition()
        self._error = ""
        self._reply: list[str] | None = None
        self._over = False
        self._lines: Lines | None = None
        self._is_in_lines = False  # whether who was taken last asked in lines

    def next_datum(self, error: str) -> list[str]:
        """Report `error` for the last datum and wait for the next one's environment (a thread of whoever asks).

        Raises:
            NoDatum: this process is no longer served.
        """
        with self._one_call, self._changed:
            if not self._over:
                self._error = error
                os.eventfd_write(self._calls, 1)
            self._changed.wait_for(lambda: self._reply is not None or self._over)
            reply, self._reply = self._reply, None
            if reply is None:
                raise NoDatum("there are no more datums")
            return reply

    def adopt(self, lines: Lines) -> bool:
        """Read these lines and answer them from now on, in `take` and `give`; False if others are adopted already."""
        with self._changed:
            if self._over or self._lines is not None:
                return False
            self._lines = lines
            self._askers.register(lines.connection, select.EPOLLIN)
            return True

    def take(self) -> str | None:
        """Return the error of the call that woke us; None if it is none, or not a whole one yet."""
        if self._is_in_lines and self._lines is not None and (began := self._lines.receive()):
            return self._take_line(began)  # who asked so once asks so again
        for descriptor, _ in self._askers.poll(0, 1):
            self._is_in_lines = descriptor != self._calls
            if self._is_in_lines:
                assert self._lines is not None, "only what was adopted is polled"
                return self._take_line(self._lines.receive())
            with self._changed:
                os.eventfd_read(self._calls)
                return self._error
        return None

    def _take_line(self, began: bytes) -> str | None:
        if (error := error_of(began)) is None:
            lines = self._let_go_of_lines()
            lines.go_on(lambda: lines.serve(self.next_datum, began))
        return error

    def _let_go_of_lines(self) -> Lines:
        lines, self._lines = self._lines, None
        assert lines is not None
        self._askers.unregister(lines.connection)
        return lines

    def give(self, environ: list[str]) -> None:
        """Answer the call that was taken."""
        if not self._is_in_lines:
            with self._changed:
                self._reply = environ
                self._changed.notify_all()
            return
        assert self._lines is not None
        rest = self._lines.send(_encode({"env": environ}))
        if rest:
            lines = self._let_go_of_lines()
            lines.go_on(lambda: lines.serve(self.next_datum, say_first=rest))

    def close(self) -> None:
        """Send waiting and later calls away."""
        with self._changed:
            if not self._over:
                self._over = True
                self._changed.notify_all()
                if self._lines is not None:
                    self._lines.connection.close()
                self._askers.close()
                os.close(self._calls)


class Lines:
    """A connection of a step that asks in lines."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def receive(self) -> bytes:
        """Return what lies there, without waiting."""
        try:
            return self.connection.recv(_USUAL_LINE, socket.MSG_DONTWAIT)
        except OSError:
            return b""

    def send(self, data: bytes) -> bytes:
        """Send without waiting; return what could not be sent so."""
        try:
            return data[self.connection.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            return data
        except OSError:  # the step is gone, which is seen elsewhere
            return b""

    def go_on(self, serve: Callable[[], None]) -> None:
        """Go on in a thread of its own."""
        threading.Thread(target=serve, daemon=True).start()

    def serve(
        self, next_datum: Callable[[str], list[str]], began: bytes = b"", say_first: bytes = b""
    ) -> None:
        """Answer each line to the end, waiting for the step where that is needed; `began` was received already."""
        connection = self.connection
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            connection.sendall(say_first)
            while line := began if began.endswith(b"\n") else began + lines.readline(_LONGEST_LINE):
                began = b""
                if (error := error_of(line)) is None:
                    return  # who asks does not speak this
                try:
                    answer: dict[str, object] = {"env": next_datum(error)}
                except NoDatum as reason:
                    answer = {"refusal": str(reason)}
                connection.sendall(_encode(answer))


def error_of(line: bytes) -> str | None:
    """Return what a line reports; None if it is not just one whole line that asks for a datum."""
    if line == _ALL_WELL:  # what nearly all say, and reading JSON takes longer than all else here
        return ""
    if not line.endswith(b"\n"):
        return None
    try:
        asked = json.loads(line)
    except ValueError:
        return None
    error = asked.get("error") if isinstance(asked, dict) else None
    return error if isinstance(error, str) else None


def _encode(answer: dict[str, object]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


class Door:
    """The worker's gRPC service for one user process; it costs nothing until someone connects."""

    def __init__(
        self,
        next_datum: Callable[[str], list[str]],
        scratch: Path,
        adopt: Callable[[Lines], bool] = lambda lines: False,
    ) -> None:
        """Answer with `next_datum`, in threads; `adopt` may take over the connection of one who asks in lines."""
        self._next_datum = next_datum
        self._adopt = adopt
        self._scratch = scratch
        self._opening = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._service: NextDatum | None = None

    def let_in(self, listener: socket.socket) -> None:
        """Serve those who connect to `listener`, until it is shut."""
        serve_each(listener, self._serve)

    def _serve(self, connection: socket.socket) -> None:
        try:
            began = connection.recv(len(HELLO), socket.MSG_PEEK | socket.MSG_WAITALL)
        except OSError:
            began = b""
        if began != HELLO:
            hand_on_both_ways(connection, lambda: _connect(self._open()))
            return
        connection.recv(len(HELLO))
        lines = Lines(connection)
        if not self._adopt(lines):
            lines.serve(self._next_datum)

    def close(self) -> None:
        """Stop serving."""
        if self._service is not None and self._folder is not None:
            self._service.close()
            self._folder.cleanup()
            self._service = self._folder = None

    def _open(self) -> str:
        with self._opening:
            return self._open_once()

    def _open_once(self) -> str:
        if self._service is None or self._folder is None:
            # Most steps don't speak gRPC, and it takes longer to import than all else that a companion does.
            from pachlet.worker.next_datum import NextDatum

            # The session's folder is emptied after a crash too, but a Unix socket's path must be a short one.
            is_short = len(os.fsencode(self._scratch)) < _SOCKET_PATH_MAX - len("/door-12345678/worker")
            self._folder = tempfile.TemporaryDirectory(
                prefix="door-", dir=self._scratch if is_short else None
            )
            self._service = NextDatum(self._next_datum, f"{self._folder.name}/worker")
        return str(Path(self._folder.name, "worker"))


def _connect(address: str) -> socket.socket:
    outside = socket.socket(socket.AF_UNIX)
    try:
        outside.connect(address)
    except OSError:
        outside.close()
        raise
    return outside
