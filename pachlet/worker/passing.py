"""Receive descriptors of files over a socket, so that no program that is started later inherits them.

Python's own socket.recv_fds takes flags and ignores them.

Read next: guard.py, cells.py (who pass them).
"""

from __future__ import annotations

import array
import socket


def receive(source: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Return a message of at most `size` bytes and its descriptors, at most `most`; no bytes at the end."""
    numbers = array.array("i")
    message, parts, _, _ = source.recvmsg(
        size, socket.CMSG_LEN(most * numbers.itemsize), socket.MSG_CMSG_CLOEXEC
    )
    for level, kind, data in parts:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return message, list(numbers)
