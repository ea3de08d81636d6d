"""A guard with its sandbox, as the server sees it: ask it to start one process after the other, and end it.

There is a line to the guard itself, which brings requests and reports, and a control socket that the launcher holds:
its end means that the guard and every process that it started are gone (launcher.py says why).

Read next: processes.py (a process in a cell), guard.py (the other end of the line).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pachlet.worker.cgroups import Group
from pachlet.worker.passing import receive

_MESSAGE = 64 * 1024
_LONG = 32 * 1024
"""A request that is longer goes as a file in memory."""
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True)
class Command:
    """One process to start."""

    cmd: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    stdio: tuple[int, int, int] | None = None
    """What it reads and writes, instead of what it is given; these descriptors stay the caller's."""


class Cell:
    """A guard. `kill` and `connect` may be called from any thread, the rest from one at a time."""

    def __init__(
        self,
        control: socket.socket,
        line: socket.socket,
        inlet: socket.socket | None,
        group: Group | None,
        take_back: Callable[[Cell], None] | None,
    ) -> None:
        self.control = control
        self.line = line
        self.group = group
        self.listener: socket.socket | None = None
        """The door to the worker's service, once the guard has made it."""
        self._inlet = inlet
        self._asking = threading.Lock()
        self._take_back = take_back

    def start(self, command: Command, stdin: str | None) -> tuple[int, int]:
        """Start a process, where there is no other in this cell; return what its stdout and stderr are read from."""
        out, far_out = os.pipe()
        err, far_err = os.pipe()
        given = [_stdin(stdin), far_out, far_err]
        if command.stdio is not None:
            for each in given:
                os.close(each)
            given = [os.dup(each) for each in command.stdio]
        message = json.dumps({"cmd": command.cmd, "cwd": command.cwd, "env": command.env}).encode()
        if len(message) > _LONG:
            given.append(memory_file(message))
            message = b"+"
        try:
            # If the guard is gone, the end of the control says so to whoever watches.
            with contextlib.suppress(OSError):
                socket.send_fds(self.line, [message], given)
        finally:
            for descriptor in given:
                os.close(descriptor)
        return out, err

    def hear(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return a message of the guard with its descriptors; None at the end of the line."""
        try:
            message, descriptors = receive(self.line, _MESSAGE, 1)
        except ConnectionResetError:
            return None
        return (json.loads(message), descriptors) if message else None

    def is_alive(self) -> bool:
        """Tell whether the guard was there a moment ago."""
        looker = select.poll()
        looker.register(self.control, select.POLLIN)
        return not looker.poll(0)

    def kill(self) -> None:
        """Have the guard ended with all that it started; the end of the control says when it is."""
        with contextlib.suppress(OSError):  # it is just ending, and nobody is left to be told
            self.control.send(b"-")

    def let_go(self, *, is_fit: bool) -> None:
        """Say that the process in it is over, and whether the guard is fit for another."""
        if is_fit and self._take_back is not None:
            self._take_back(self)
        else:
            self.close()

    def close(self) -> None:
        """End the guard, and wait until it is gone."""
        self.kill()
        with contextlib.suppress(OSError):
            while self.control.recv(1):
                pass
        if self.listener is not None:
            with contextlib.suppress(OSError):  # the door's thread may have met its end first
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        with self._asking:
            if self._inlet is not None:
                self._inlet.close()
                self._inlet = None
        self.line.close()
        self.control.close()

    def connect(self, port: int) -> socket.socket:
        """Begin to connect to a port of the step's own network (interface.py has the promises)."""
        with self._asking:
            if self._inlet is None:
                raise ConnectionError("the step is not running")
            # The step may have stopped the process that answers, which has the step's rights.
            self._inlet.settimeout(_ANSWER_SECONDS)
            try:
                self._inlet.send(str(port).encode())
                answer, descriptors = receive(self._inlet, 16, 1)
            except OSError as problem:
                self._inlet.close()  # a late answer must not be taken for that to the next question
                self._inlet = None
                raise ConnectionError(f"the step can't be reached: {problem}") from None
        if not descriptors:
            problem_number = int(answer or errno.ECONNRESET)
            raise ConnectionError(os.strerror(problem_number))
        return socket.socket(fileno=descriptors[0])


def memory_file(content: bytes) -> int:
    """Return a descriptor of a new file in memory that holds `content`."""
    descriptor = os.memfd_create("pachlet", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _stdin(text: str | None) -> int:
    # A file, not a pipe: nobody has to feed it, and a step that does not read it gets no broken pipe.
    return os.open(os.devnull, os.O_RDONLY) if text is None else memory_file(text.encode())
