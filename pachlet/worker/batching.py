"""Datum batching: one user process asks the worker for datum after datum.

The user code calls NextDatum of pachyderm.worker.Worker in a loop: each call reports the last datum's error
(none if it went well) and blocks until the next one lies in /pfs. The service is at 127.0.0.1 inside the
step's own network namespace: the guard made the listening socket there and passed it out, and here its
connections are handed on to a gRPC server on a Unix socket, which no other step can reach.

Steps written with pachlet/step.py ask the same in lines of JSON, at the same port: a step that imports no gRPC starts
in a third of the time, and a question is answered by one thread instead of five.

Read next: process.py (when a datum is handed over), ../step.py (the user code's side).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from pachlet.wire import schema
from pachlet.worker.relaying import hand_on_both_ways, serve_each

_SERVICE = "pachyderm.worker.Worker"
_SOCKET_PATH_MAX = 107
HELLO = b"pachlet datums 1\n"
"""What who asks in lines begins with; gRPC begins otherwise."""
_LONGEST_LINE = 1 << 20


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
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Readable while a call waits that `take` has not seen."""
        self._one_call = threading.Lock()
        self._changed = threading.Condition()
        self._error = ""
        self._reply: list[str] | None = None
        self._over = False

    def next_datum(self, error: str) -> list[str]:
        """Report `error` for the last datum and wait for the next one's environment (a thread of gRPC).

        Raises:
            NoDatum: this process is no longer served.
        """
        with self._one_call, self._changed:
            if not self._over:
                self._error = error
                os.eventfd_write(self.wake, 1)
            self._changed.wait_for(lambda: self._reply is not None or self._over)
            reply, self._reply = self._reply, None
            if reply is None:
                raise NoDatum("there are no more datums")
            return reply

    def take(self) -> str:
        """Return the error of the call that woke us."""
        with self._changed:
            os.eventfd_read(self.wake)
            return self._error

    def give(self, environ: list[str]) -> None:
        """Answer the call that was taken."""
        with self._changed:
            self._reply = environ
            self._changed.notify_all()

    def close(self) -> None:
        """Send waiting and later calls away."""
        with self._changed:
            if not self._over:
                self._over = True
                self._changed.notify_all()
                os.close(self.wake)


class Door:
    """The worker's gRPC service for one user process; it costs nothing until someone connects."""

    def __init__(self, next_datum: Callable[[str], list[str]], scratch: Path) -> None:
        self._next_datum = next_datum
        self._scratch = scratch
        self._opening = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: grpc.Server | None = None

    def let_in(self, listener: socket.socket) -> None:
        """Serve those who connect to `listener`, until it is shut."""
        serve_each(listener, self._serve)

    def _serve(self, connection: socket.socket) -> None:
        try:
            began = connection.recv(len(HELLO), socket.MSG_PEEK | socket.MSG_WAITALL)
        except OSError:
            began = b""
        if began == HELLO:
            self._answer_in_lines(connection)
        else:
            hand_on_both_ways(connection, lambda: _connect(self._open()))

    def _answer_in_lines(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError, ValueError):
            lines.readline()
            while line := lines.readline(_LONGEST_LINE):
                asked = json.loads(line)
                if not isinstance(asked, dict) or not isinstance(error := asked.get("error"), str):
                    return  # who asks does not speak this
                try:
                    answer: dict[str, object] = {"env": self._next_datum(error)}
                except NoDatum as reason:
                    answer = {"refusal": str(reason)}
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None and self._folder is not None:
            self._server.stop(None).wait()
            self._folder.cleanup()
            self._server = self._folder = None

    def _open(self) -> str:
        with self._opening:
            return self._open_once()

    def _open_once(self) -> str:
        if self._server is None or self._folder is None:
            # The session's folder is emptied after a crash too, but a Unix socket's path must be a short one.
            is_short = len(os.fsencode(self._scratch)) < _SOCKET_PATH_MAX - len("/door-12345678/worker")
            self._folder = tempfile.TemporaryDirectory(
                prefix="door-", dir=self._scratch if is_short else None
            )
            self._server = grpc.server(ThreadPoolExecutor(2, "next-datum"))
            handler = grpc.unary_unary_rpc_method_handler(
                self._handle,
                request_deserializer=schema.message("pachyderm.worker.NextDatumRequest").FromString,
                response_serializer=schema.message("pachyderm.worker.NextDatumResponse").SerializeToString,
            )
            handlers = {"NextDatum": handler}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
            self._server.add_insecure_port(f"unix:{self._folder.name}/worker")
            self._server.start()
        return str(Path(self._folder.name, "worker"))

    def _handle(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            environ = self._next_datum(request.error)
        except NoDatum as reason:
            context.abort(grpc.StatusCode.UNKNOWN, str(reason))
        return schema.message("pachyderm.worker.NextDatumResponse")(env=environ)


def _connect(address: str) -> socket.socket:
    outside = socket.socket(socket.AF_UNIX)
    try:
        outside.connect(address)
    except OSError:
        outside.close()
        raise
    return outside
