"""The launcher when things happen at the same time."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
from typing import Any

import pytest

from pachlet.worker import launcher


def test_a_guard_that_ends_as_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher must live on: without it no step can be started any more."""
    ended = subprocess.Popen(["true"])
    server, control = socket.socketpair()
    server.close()  # which tells the launcher to end the guard

    class BothAtOnce(selectors.DefaultSelector):
        is_first = True

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if not self.is_first:
                return super().select(timeout)
            self.is_first = False
            guarded = launcher.Guarded(ended.pid, control, signal.SIGKILL)
            pidfd: Any = os.pidfd_open(ended.pid)
            keys = [self.register(each, selectors.EVENT_READ, guarded) for each in (pidfd, control)]
            return [(key, selectors.EVENT_READ) for key in keys]

    monkeypatch.setattr(launcher.selectors, "DefaultSelector", BothAtOnce)
    ours, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()  # the server closes the door: the launcher returns
    with door:
        launcher.serve(door)
    assert control.fileno() < 0
    ended.returncode = 0  # the launcher has waited for it
