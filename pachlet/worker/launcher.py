"""The launcher: a small program that makes one process tree per sandbox, and ends it.

The server starts it once and keeps it: a process with many threads (gRPC's) can't safely be cloned, and this
one, single-threaded and small, is cloned in a millisecond. It is asked through a socket, gets the request and
the files as descriptors, and makes a guard: the first process of a new process namespace, which builds the
sandbox, and which the server asks to start steps, one after the other. When the guard ends, for whatever reason,
the kernel ends everything in the namespace. The launcher holds one end of each guard's control socket: word
from the server, or its silence for ever, ends the guard; and only when the guard is gone does the launcher
let go of the socket, so that the server's end of file means that nothing is left.

Read next: sandbox.py (what the guard builds), launching.py (the server's end of the line).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

if __name__ == "__main__":  # run as a program with -I -S: our own package is not on the path
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from pachlet.worker import sandbox
from pachlet.worker.guard import guard, tell
from pachlet.worker.passing import receive

_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
_OWNER = (os.geteuid(), os.getegid())


@dataclass
class Guarded:
    """A guard that was started."""

    pid: int
    control: socket.socket
    end_signal: int

    def end(self) -> None:
        """Make the guard, and all that it guards, end."""
        os.kill(self.pid, self.end_signal)


def serve(door: socket.socket) -> None:
    """Start what is asked for at `door` until the server closes it or is gone; then leave nothing behind."""
    groups: list[str] = []
    selector = selectors.DefaultSelector()
    selector.register(door, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is door:
                message, descriptors = receive(door, 1 << 16, 16)
                if not message:
                    _end_all(selector)
                    _remove_groups(groups)
                    return
                if descriptors:
                    _start(selector, descriptors)
                else:
                    groups = json.loads(message)
            elif isinstance(key.fileobj, socket.socket):
                if key.fileobj.fileno() >= 0:  # else its guard ended as well, and was buried a moment ago
                    selector.unregister(key.fileobj)
                    key.data.end()
            else:
                _bury(selector, key.fd, key.data)


def _start(selector: selectors.BaseSelector, descriptors: list[int]) -> None:
    """Clone a guard.

    `descriptors` are the request, the control, the guard's line to the server, and what else the guard gets: the
    entrances of its control groups, a file of secrets, the socket on which the server asks for connections to it.
    """
    with open(descriptors[0], "rb", closefd=False) as file:
        file.seek(0)
        request = json.load(file)
    control, line = socket.socket(fileno=descriptors[1]), socket.socket(fileno=descriptors[2])
    try:
        pid = _clone(_flags(request))
    except OSError as problem:
        tell(line, {"error": f"the kernel refused new namespaces: {problem.strerror}"})
        control.close()
    else:
        if pid == 0:
            guard(request, line, _OWNER, descriptors[3:])
        guarded = Guarded(pid, control, signal.SIGKILL if request["root"] else signal.SIGTERM)
        selector.register(os.pidfd_open(pid), selectors.EVENT_READ, guarded)
        selector.register(control, selectors.EVENT_READ, guarded)
    line.close()
    for descriptor in (descriptors[0], *descriptors[3:]):
        os.close(descriptor)


def _bury(selector: selectors.BaseSelector, pidfd: int, guarded: Guarded) -> None:
    os.waitpid(guarded.pid, 0)
    selector.unregister(pidfd)
    os.close(pidfd)
    if guarded.control in (key.fileobj for key in selector.get_map().values()):
        selector.unregister(guarded.control)
    guarded.control.close()


def _flags(request: dict[str, Any]) -> int:
    if not request["root"]:
        return 0
    flags = sandbox.CLONE_NEWUSER | sandbox.CLONE_NEWNS | sandbox.CLONE_NEWPID
    flags |= sandbox.CLONE_NEWIPC | sandbox.CLONE_NEWUTS
    return flags if request["network"] else flags | sandbox.CLONE_NEWNET


def _clone(flags: int) -> int:
    """Fork into new namespaces: fork, then unshare, would need one more process for the process namespace."""
    api = ctypes.pythonapi
    clone = _SYS_CLONE.get(os.uname().machine)
    if clone is None:
        raise OSError(0, f"not known how to clone on {os.uname().machine}")
    api.PyOS_BeforeFork()
    ctypes.set_errno(0)
    system = ctypes.PyDLL(None, use_errno=True)
    arguments = [ctypes.c_long(each) for each in (flags | signal.SIGCHLD, 0, 0, 0, 0)]
    pid = int(system.syscall(ctypes.c_long(clone), *arguments))
    if pid == 0:
        api.PyOS_AfterFork_Child()
        return 0
    problem = ctypes.get_errno()
    api.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(problem, os.strerror(problem))
    return pid


def _end_all(selector: selectors.BaseSelector) -> None:
    """End what still runs, and wait for it."""
    found = {key.data.pid: key.data for key in selector.get_map().values() if key.data is not None}
    for guarded in found.values():
        guarded.end()
    for pid in found:
        os.waitpid(pid, 0)


def _remove_groups(folders: list[str]) -> None:
    """Remove the control groups that guards were in, and those above them that were made for us."""
    for folder in folders:
        with contextlib.suppress(OSError):  # the server may have done it
            for name in os.listdir(folder):
                if os.path.isdir(f"{folder}/{name}"):
                    os.rmdir(f"{folder}/{name}")
            os.rmdir(folder)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
