"""The server's end of the line to the launcher: have guards made.

A request goes as a file in memory, with the descriptors of all that the guard is given; secrets are a file of their
own that only the guard reads.

Read next: cells.py (how a guard is asked to start steps), launcher.py (the other end).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pachlet.errors import Unavailable
from pachlet.worker.cells import Cell, memory_file
from pachlet.worker.cgroups import Group, Groups, find_groups, remove_abandoned
from pachlet.worker.interface import Secrets
from pachlet.worker.sandbox import Root

WORKER_PORT = 1080
"""Where the step finds the worker's service in its own network namespace (upstream's default)."""

_GROUP = "pachlet"
"""How the control groups of launchers are called, with the launcher's number behind it."""


@dataclass(frozen=True)
class Walls:
    """What is around the attempts of a guard. Without a `root` there is no sandbox."""

    root: Root | None
    network: bool = False
    port: int = WORKER_PORT
    server_port: int = 0
    """Where the step finds the server on its own loopback interface; with it, the server can connect to the step."""
    watched: Mapping[str, int] = field(default_factory=dict)
    """The limits that the guard keeps itself: memory, processes, disk (in bytes), cpus."""
    folders: Sequence[str] = ()
    """Where the step can write, as it sees it: what counts as disk."""
    entrances: int = 0
    """How many control groups the guard enters; Launcher.open sets it."""
    secrets: bool = False
    """Whether secrets come along; Launcher.open sets it."""
    stays: bool = False
    """Whether attempt after attempt is made within them."""


class LauncherDoor:
    """Where the launcher is asked, by the server and by its companions."""

    def __init__(self, door: socket.socket, groups: Groups | None) -> None:
        self.door = door
        self.groups = groups
        """The control groups that attempts may be put into, or None."""
        self._lock = threading.Lock()

    def open(
        self,
        walls: Walls,
        group: Group | None = None,
        secrets: Secrets | None = None,
        take_back: Callable[[Cell], None] | None = None,
    ) -> Cell:
        """Have a guard made, in `group` if there is one.

        `take_back` gets the cell after each attempt that leaves it fit for another.
        """
        control, far_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line, far_line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        entrances = group.entrances() if group else []
        walls = replace(walls, entrances=len(entrances), secrets=secrets is not None)
        text = json.dumps(asdict(walls)).encode()
        given = [memory_file(text), far_control.detach(), far_line.detach(), *entrances]
        if secrets is not None:
            given.append(memory_file(_encode(secrets)))
        inlet: socket.socket | None = None
        if walls.server_port:
            inlet, far_inlet = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            given.append(far_inlet.detach())
        try:
            with self._lock:
                socket.send_fds(self.door, [b"+"], given)
        except OSError as problem:
            raise Unavailable(
                f"the launcher of steps is gone: {problem.strerror}", hint="try again"
            ) from None
        finally:
            for descriptor in given:
                os.close(descriptor)
        return Cell(control, line, inlet, group, take_back)


class Launcher(LauncherDoor):
    """The running launcher program."""

    def __init__(self, *, groups: bool = True) -> None:
        """Start the program; without `groups`, behave as where there are no control groups."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = Path(__file__).with_name("launcher.py")
        with theirs:
            # A session of its own, so that Ctrl-C at a terminal reaches the server only, which then decides.
            self._program = subprocess.Popen(
                [sys.executable, "-I", "-S", str(program), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                env={},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        super().__init__(ours, None)
        if groups:
            self.groups = self._find_groups()

    def _find_groups(self) -> Groups | None:
        remove_abandoned(_GROUP)
        found = find_groups(self._program.pid, f"{_GROUP}-{self._program.pid}")
        if found is not None:  # it removes them when it ends, also after the server was killed
            self.door.send(json.dumps([str(folder) for folder in found.folders]).encode())
        return found

    def is_running(self) -> bool:
        """Tell whether the program is still there."""
        return self._program.poll() is None

    def close(self) -> None:
        """End the program and every process that it started."""
        with contextlib.suppress(OSError):  # it is gone
            self.door.shutdown(socket.SHUT_RDWR)  # for whoever else has it, too: a companion may be stuck
        self.door.close()
        self._program.wait()
        if self.groups is not None:
            self.groups.close()


def _encode(secrets: Secrets) -> bytes:
    files = {path: base64.b64encode(value).decode() for path, value in secrets.files.items()}
    environ = {key: base64.b64encode(os.fsencode(value)).decode() for key, value in secrets.environ.items()}
    return json.dumps({"files": files, "environ": environ}).encode()
