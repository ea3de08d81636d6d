"""Forward what comes to a port of this machine to the process that serves now, and change over without losing anything.

A service is known by its port, whichever version answers. A new version gets every new connection from the moment at
which it is made the live one, and every next request on the connections that there are: a connection moves between an
answer and the next request (http_turns.py), and its client sees nothing of it. The version before is rid of its
connections then, or after a while; those that are no HTTP stay where they are until that.

All connections are handled by one thread, so what is looked at here does not change between two `await`s.

Read next: http_turns.py, pachlet/pps/services.py (who decides which version is live).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from pachlet.errors import FailedPrecondition
from pachlet.worker.http_turns import Turns

Result = TypeVar("Result")

_CHUNK = 64 * 1024
_PATIENCE = 10.0
"""Seconds that a client is kept waiting while no process answers, which may be starting again."""
_RETRY = 0.05
_CONNECTING = 5.0


class Backend:
    """A process that connections are forwarded to."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        """Take what begins a connection (see Session.connect); it is called from any thread."""
        self.connect = connect
        self._lines: set[_Line] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, line: _Line) -> None:
        self._lines.add(line)
        self._idle.clear()

    def remove(self, line: _Line) -> None:
        self._lines.discard(line)
        if not self._lines:
            self._idle.set()

    async def empty(self, seconds: float) -> None:
        """Wait until no connection is left; after `seconds` break off those that are."""
        for line in list(self._lines):
            line.move_on()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)
        for line in list(self._lines):
            line.break_off()


class Forwarder:
    """One port and the process behind it; made by Forwarding."""

    def __init__(self, forwarding: Forwarding, listener: socket.socket) -> None:
        self._forwarding = forwarding
        self._listener = listener
        self._lines: set[_Line] = set()
        self._changed = asyncio.Event()
        self.live: Backend | None = None
        self.port: int = listener.getsockname()[1]

    def set_live(self, backend: Backend | None) -> None:
        """Have another process answer from now on, or none for a while."""
        self._forwarding.call(self._set_live(backend))

    def drain(self, backend: Backend, seconds: float) -> None:
        """Wait until a process that is live no more has no connection left, at most so long."""
        self._forwarding.call(backend.empty(seconds))

    def close(self) -> None:
        """Listen no more, and break off what there is."""
        self._forwarding.call(self._close())

    async def _set_live(self, backend: Backend | None) -> None:
        self.live = backend
        self._changed.set()
        self._changed = asyncio.Event()

    async def _close(self) -> None:
        self._accepting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._accepting
        self._listener.close()
        for line in list(self._lines):
            line.break_off()
        while self._lines:
            await asyncio.sleep(0)

    async def accept(self) -> None:
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # this process has no descriptor left for it; the client may wait or come again
                await asyncio.sleep(_RETRY)
                continue
            line = _Line(self, client)
            self._lines.add(line)
            line.start(self._lines.discard)

    async def connect(self) -> tuple[Backend, socket.socket] | None:
        """Connect to the live process, waiting a while for one that answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE
        while (left := deadline - loop.time()) > 0:
            backend = self.live
            if backend is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left)
                continue
            try:
                return backend, await self._forwarding.connect(backend)
            except OSError:
                if self.live is backend:
                    await asyncio.sleep(_RETRY)
        return None


class Forwarding:
    """The thread that forwards."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._connectors = ThreadPoolExecutor(8, "connecting")
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwarding", daemon=True)
        self._thread.start()

    def listen(self, port: int) -> Forwarder:
        """Listen on a port of the loopback interface; 0 is one that is free.

        Raises:
            FailedPrecondition: somebody else has that port.
        """
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind(("127.0.0.1", port))
            listener.listen(1024)
        except OSError as problem:
            listener.close()
            raise FailedPrecondition(
                f"port {port} of this machine can't be listened on: {problem.strerror}",
                hint="choose another external_port, or none: then a free one is taken",
            ) from None
        return self.call(self._start(listener))

    async def _start(self, listener: socket.socket) -> Forwarder:
        forwarder = Forwarder(self, listener)
        await forwarder.accept()
        return forwarder

    def call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run something in the forwarding thread, from another one; return what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Stop; every forwarder was closed before."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._connectors.shutdown()

    async def connect(self, backend: Backend) -> socket.socket:
        """Make a connection to a process; raise OSError where that fails."""
        # In a thread of its own: a step can hold up the answer for seconds (launching.py).
        connecting = self._loop.run_in_executor(self._connectors, backend.connect)
        try:
            made = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close_too_late)
            raise
        try:
            await asyncio.wait_for(self._until_connected(made), _CONNECTING)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            made.close()
            raise
        return made

    async def _until_connected(self, made: socket.socket) -> None:
        writable = self._loop.create_future()
        self._loop.add_writer(made, _settle, writable)
        try:
            await writable
        finally:
            self._loop.remove_writer(made)
        if problem := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionError(problem, "can't connect")


def _close_too_late(connecting: asyncio.Future[socket.socket]) -> None:
    """Close a connection that nobody waits for any more."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Line:
    """One connection of a client, and the one that it is forwarded to now."""

    def __init__(self, forwarder: Forwarder, client: socket.socket) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._forwarder = forwarder
        self._client = client
        self._turns = Turns()
        self._backend: Backend | None = None
        self._server: socket.socket | None = None
        self._answers: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[bool] | None = None
        self._is_sending = False

    def start(self, ended: Callable[[_Line], None]) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: ended(self))

    def break_off(self) -> None:
        self._task.cancel()

    def move_on(self) -> None:
        """Leave the process that is live no more, if nothing is under way with it; else at the next such moment."""
        if not self._turns.is_between or self._is_sending or self._server is None:
            return
        is_fresh = self._turns.is_fresh
        self._leave()
        if is_fresh:  # this may be a protocol in which the server speaks first
            self._reconnecting = asyncio.create_task(self._connect())

    def _leave(self) -> None:
        if self._answers is not None and self._answers is not asyncio.current_task():
            self._answers.cancel()
        self._answers = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._backend is not None:
            self._backend.remove(self)
            self._backend = None

    async def _run(self) -> None:
        try:
            if await self._connect():
                await self._forward()
        except OSError:
            pass  # one side broke off, which ends the connection
        finally:
            if self._reconnecting is not None:
                self._reconnecting.cancel()
            self._leave()
            self._client.close()

    async def _forward(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._client, _CHUNK):
            if self._reconnecting is not None:
                await self._reconnecting
                self._reconnecting = None
            if self._turns.is_between and self._backend is not self._forwarder.live:
                self._leave()
            if self._server is None and not await self._connect():
                return
            assert self._server is not None
            self._turns.client_said(data)
            await loop.sock_sendall(self._server, data)
        if self._server is not None and self._answers is not None:
            self._server.shutdown(socket.SHUT_WR)
            await self._answers

    async def _connect(self) -> bool:
        while True:
            found = await self._forwarder.connect()
            if found is None:
                return False
            self._backend, self._server = found
            self._backend.add(self)
            if self._backend is self._forwarder.live:
                self._answers = asyncio.create_task(self._pass_answers(self._server))
                return True
            self._leave()  # another one was made live meanwhile

    async def _pass_answers(self, server: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(server, _CHUNK):
                self._turns.server_said(data)
                self._is_sending = True
                await loop.sock_sendall(self._client, data)
                self._is_sending = False
                if self._backend is not self._forwarder.live and self._turns.is_between:
                    self._leave()
                    return
            if self._turns.may_go_on:
                self._leave()  # it tired of waiting, or ended; the next request finds one that answers
            else:
                self._client.shutdown(socket.SHUT_WR)
        except OSError:
            # Whatever the client says now, nobody answers.
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)
