"""Hand on what comes over one connection to another, both ways.

For the doors that are made in a step's own network: the worker's service and the server itself are behind them. Two
threads a connection are enough there, as a step makes one or two.

Read next: batching.py and session.py (whose doors), forwarding.py (the other direction, where connections are many).
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

_CHUNK = 64 * 1024


def relay(listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Hand on each connection made to `listener` to one that `connect` makes, in threads, until it is shut."""
    serve_each(listener, lambda inside: hand_on_both_ways(inside, connect))


def serve_each(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Serve each connection made to `listener` in a thread of its own, until it is shut."""
    threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()


def _accept(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            inside, _ = listener.accept()
        except OSError:
            return  # shut: the process that had this door is gone
        threading.Thread(target=serve, args=(inside,), daemon=True).start()


def hand_on_both_ways(inside: socket.socket, connect: Callable[[], socket.socket]) -> None:
    """Hand on what comes over a connection to one that `connect` makes, and back, until both ends."""
    with inside:
        try:
            outside = connect()
        except OSError:
            return  # nobody is behind the door any more
        with outside:
            answers = threading.Thread(target=_hand_on, args=(outside, inside), daemon=True)
            answers.start()
            _hand_on(inside, outside)
            answers.join()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    """Hand on until the end, which is handed on as well: the other direction may have more to say."""
    try:
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side broke off, which ends the connection
        for end in (source, target):
            with contextlib.suppress(OSError):  # it may be the side that broke off
                end.shutdown(socket.SHUT_RDWR)
