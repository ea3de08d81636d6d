"""The server's end of the line to the launcher: start processes.

A request goes as a file in memory, with the descriptors of all that the process is given; secrets are a file of
their own that only the process' guard reads.

Read next: processes.py (what is started), launcher.py (the other end).
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pachlet.errors import Unavailable
from pachlet.worker.cgroups import Group, Groups, find_groups, remove_abandoned
from pachlet.worker.interface import Secrets
from pachlet.worker.processes import NO_DOORS, Doors, Process
from pachlet.worker.sandbox import Root

WORKER_PORT = 1080
"""Where the step finds the worker's service in its own network namespace (upstream's default)."""

_GROUP = "pachlet"
"""How the control groups of launchers are called, with the launcher's number behind it."""


@dataclass(frozen=True)
class Request:
    """One process to start. Without a `root` there is no sandbox."""

    cmd: Sequence[str]
    cwd: str
    env: Mapping[str, str]
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
    """How many control groups the guard enters; Launcher.start sets it."""
    secrets: bool = False
    """Whether secrets come along; Launcher.start sets it."""


class Launcher:
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
        self._door = ours
        self._lock = threading.Lock()
        self.groups = self._find_groups() if groups else None
        """The control groups that attempts may be put into, or None."""

    def _find_groups(self) -> Groups | None:
        remove_abandoned(_GROUP)
        found = find_groups(self._program.pid, f"{_GROUP}-{self._program.pid}")
        if found is not None:  # it removes them when it ends, also after the server was killed
            self._door.send(json.dumps([str(folder) for folder in found.folders]).encode())
        return found

    def is_running(self) -> bool:
        """Tell whether the program is still there."""
        return self._program.poll() is None

    def start(
        self,
        request: Request,
        stdin: str | None,
        doors: Doors = NO_DOORS,
        group: Group | None = None,
        secrets: Secrets | None = None,
    ) -> Process:
        """Start a process, in `group` if there is one."""
        control, far_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        out, far_out = os.pipe()
        err, far_err = os.pipe()
        entrances = group.entrances() if group else []
        request = replace(request, entrances=len(entrances), secrets=secrets is not None)
        text = json.dumps(asdict(request)).encode()
        given = [_memory_file(text), _stdin(stdin), far_out, far_err, far_control.detach(), *entrances]
        if secrets is not None:
            given.append(_memory_file(_encode(secrets)))
        inlet: socket.socket | None = None
        if request.server_port:
            inlet, far_inlet = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            given.append(far_inlet.detach())
        try:
            with self._lock:
                socket.send_fds(self._door, [b"+"], given)
        except OSError as problem:
            raise Unavailable(
                f"the launcher of steps is gone: {problem.strerror}", hint="try again"
            ) from None
        finally:
            for descriptor in given:
                os.close(descriptor)
        return Process(control, out, err, doors, inlet, group)

    def close(self) -> None:
        """End the program and every process that it started."""
        self._door.close()
        self._program.wait()
        if self.groups is not None:
            self.groups.close()


def _encode(secrets: Secrets) -> bytes:
    files = {path: base64.b64encode(value).decode() for path, value in secrets.files.items()}
    environ = {key: base64.b64encode(os.fsencode(value)).decode() for key, value in secrets.environ.items()}
    return json.dumps({"files": files, "environ": environ}).encode()


def _stdin(text: str | None) -> int:
    # A file, not a pipe: nobody has to feed it, and a step that does not read it gets no broken pipe.
    return os.open(os.devnull, os.O_RDONLY) if text is None else _memory_file(text.encode())


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("pachlet", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
