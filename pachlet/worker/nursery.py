"""Where companions come from: a process that has imported all that one needs, and forks them.

The server can't fork by itself: it has many threads. Starting Python anew takes a tenth of a second.

Read next: companion.py (who asks), companion_process.py (the program).
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

from pachlet.errors import Unavailable

_PROGRAM = Path(__file__).with_name("companion_process.py")


class Nursery:
    """The process, once it is needed; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def get_ready(self) -> None:
        """Start the process if it does not run; returns at once. Raises OSError where there can't be another."""
        with self._lock:
            self._start()

    def start(self, door: int) -> socket.socket:
        """Start a companion that asks for sandboxes at `door`; return the server's end of the socket to it.

        Raises:
            Unavailable: it can't be had.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self._lock:
                    requests = self._start()
                    socket.send_fds(requests, [b"+"], [theirs.fileno(), door])
            except OSError as problem:
                ours.close()
                raise Unavailable(f"another process can't be started: {problem.strerror}") from None
        return ours

    def close(self) -> None:
        """End the process; what it has started lives for as long as its sockets."""
        with self._lock:
            self._end()

    def _start(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._requests is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_PROGRAM), str(theirs.fileno()), *sys.path],
                    stdin=subprocess.DEVNULL,
                    env={},
                    pass_fds=[theirs.fileno()],
                    process_group=0,  # Ctrl-C at a terminal is for the server, which then decides
                )
            self._requests = ours
        return self._requests

    def _end(self) -> None:
        if self._requests is not None and self._process is not None:
            self._requests.close()
            self._process.kill()  # it may be stopped, and has nothing to bring to an end
            self._process.wait()
        self._requests = self._process = None
