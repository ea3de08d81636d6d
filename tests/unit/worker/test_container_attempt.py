"""An attempt in a container as its stream tells it: what belongs to one attempt does not get into the next."""

from __future__ import annotations

import os
import socket
import struct
import threading
from types import SimpleNamespace
from typing import Any

from pachlet.worker.containers.attempt import ContainerAttempt

NO_MEMORY: Any = SimpleNamespace(peak=lambda: None, complaint=lambda: "")


def frame(stream: int, text: str) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text.encode()


def test_a_container_that_owes_a_mark_when_its_process_ends_is_given_up() -> None:
    """A process asks for a datum and ends at once: its end comes before the mark that was asked for."""
    ours, container = socket.socketpair()
    given_up: list[bool] = []
    attempt = ContainerAttempt(
        ours, "end", lambda: given_up.append(True), lambda: (None, ""), NO_MEMORY, None, ""
    )

    def loop() -> None:
        word, mark = container.recv(100).decode().split()
        assert word == "say"
        container.sendall(frame(1, "last words\n\0end 1 \n") + frame(2, "\0end\n"))
        container.sendall(frame(1, f"\0{mark}\n") + frame(2, f"\0{mark}\n"))

    wake = os.eventfd(1)
    thread = threading.Thread(target=loop)
    thread.start()
    lines: list[str] = []
    ending = attempt.watch(lines.append, None, wake)
    thread.join()
    os.close(wake)
    assert ending is not None
    assert (ending.code, lines, given_up) == (1, ["last words"], [True])
    for each in (ours, container):
        each.close()


def test_a_container_that_owes_nothing_stays() -> None:
    ours, container = socket.socketpair()
    given_up: list[bool] = []
    attempt = ContainerAttempt(
        ours, "end", lambda: given_up.append(True), lambda: (None, ""), NO_MEMORY, None, ""
    )
    container.sendall(frame(1, "hello\n\0end 0 \n") + frame(2, "\0end\n"))
    lines: list[str] = []
    ending = attempt.watch(lines.append, None)
    assert ending is not None
    assert (ending.code, lines, given_up) == (0, ["hello"], [])
    for each in (ours, container):
        each.close()
