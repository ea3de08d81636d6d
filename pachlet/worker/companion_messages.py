"""What a companion and its server tell each other, over a socket that both have from the beginning.

The two are one program of one user on one machine: what is pickled is theirs.

Read next: companion.py (the server's end), companion_process.py (the other).
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pachlet.worker.attempts import Place
from pachlet.worker.head import Lease, Output, Result

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Opening:
    """The first message: what the companion is."""

    place: Place
    worker: str
    """What a step and the log call it."""
    groups: Mapping[str, Path] | None
    """The control groups of the launcher, by controller; None if it has none."""
    groups_version: str
    number: int
    """Tells its control groups from those of others."""


@dataclass(frozen=True)
class Assignment:
    """A packed lease to work on."""

    lease: Lease


class Cancel(NamedTuple):
    """A lease is void."""

    token: str
    reason: str


class Restart(NamedTuple):
    """A datum of a lease is to be begun anew, if it is in hand."""

    token: str
    datum: str
    reason: str


class Yield(NamedTuple):
    """Others wait, so that the rest of a lease is better given back."""

    token: str


class Answer(NamedTuple):
    """What became of a request; the first that was asked is answered first."""

    value: object
    problem: Exception | None = None


class Leave(NamedTuple):
    """There is nothing more to do."""


class Begun(NamedTuple):
    """A datum was begun at a time of `time.monotonic`, which is the same for all processes."""

    datum: str
    at: float


class Said(NamedTuple):
    """A line about the work on a datum."""

    datum: str
    line: str


class Printed(NamedTuple):
    """A line that the user's code printed."""

    datum: str
    line: str


class AttemptOver(NamedTuple):
    """The user's code that printed something prints no more in this attempt."""

    datum: str


class Settled(NamedTuple):
    """How a datum ended that wrote little, or nothing; `seconds` is what it took to read that.

    The server knows by itself what the datum ran on: nothing is said of that in the result.
    """

    datum: str
    result: Result
    contents: Sequence[tuple[str, bytes]]
    seconds: float
    at: float


class Settle(NamedTuple):
    """How a datum ended, and where what it wrote is; to be answered."""

    datum: str
    result: Result
    outputs: Sequence[tuple[str, Output]]


class ShouldYield(NamedTuple):
    """The question whether others wait; to be answered."""


class Done(NamedTuple):
    """The companion is at the end of a lease.

    With a `problem` it could not go on; is_cleared: what the lease left is removed.
    """

    problem: Exception | None
    is_cleared: bool


class Channel:
    """One end of the socket. Any thread may send, one at a time receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """Return the descriptor, which is readable when there is something to receive."""
        return self._connection.fileno()

    def send(self, message: object) -> None:
        """Send a message; raises OSError if the other is gone."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._sending:
            self._connection.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Return the next message; raises EOFError if the other is gone."""
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size))
        return pickle.loads(self._take(length))

    def _take(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            try:
                piece = self._connection.recv(size - len(found), socket.MSG_WAITALL)
            except OSError:
                piece = b""
            if not piece:
                raise EOFError
            found += piece
        return bytes(found)

    def wait_for_end(self, seconds: float) -> None:
        """Wait until the other is gone, but not longer, however much it says; that is not heard."""
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while (left := until - time.monotonic()) > 0:
                self._connection.settimeout(left)
                if not self._connection.recv(1 << 16):
                    return

    def close(self) -> None:
        """Let the other know that we are gone."""
        self._connection.close()
