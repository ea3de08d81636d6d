"""The guard: the first process of an attempt, which builds the sandbox, starts the step and waits for it.

It is process 1 of its own process namespace, so the step is an ordinary process with the usual signals,
orphans are reaped, and when the guard ends the kernel kills all the rest. Where there are no namespaces it
adopts the orphans instead and kills them one by one. It reports what became of the step on the control
socket.

Read next: sandbox.py (the root that the step gets), launcher.py (who clones the guard).
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from pachlet.worker import sandbox

_NOT_FOUND, _NOT_RUN = 127, 126


def guard(
    request: dict[str, Any],
    stdio: Sequence[int],
    control: socket.socket,
    owner: tuple[int, int],
    inlet: int | None = None,
) -> NoReturn:
    """Do all that a guard does, and end the process. `request` has the fields that launching.py writes."""
    status = 1
    try:
        _let_go_of_all_but([*stdio, control.fileno(), *([] if inlet is None else [inlet])])
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # until there is a step to end
        os.setsid()
        if request["root"]:
            sandbox.die_with_parent(signal.SIGKILL)
            if request["server_port"]:
                sandbox.open_low_ports()
            sandbox.enter(sandbox.Root(**request["root"]), owner)
            if not request["network"]:
                sandbox.raise_loopback()
        else:
            sandbox.die_with_parent(signal.SIGTERM)
            sandbox.adopt_orphans()
        port = 0 if request["network"] or not request["root"] else request["port"]
        with socket.create_server(("127.0.0.1", port)) as listener:
            request["env"]["PPS_WORKER_GRPC_PORT"] = str(listener.getsockname()[1])
            tell(control, {"door": "worker"}, listener.fileno())
        if request["server_port"]:
            with socket.create_server(("127.0.0.1", request["server_port"])) as listener:
                tell(control, {"door": "server"}, listener.fileno())
        if request["root"]:
            sandbox.drop_privileges()
        if inlet is not None:
            _start_connector(inlet, [*stdio, control.fileno()])
        status = _run(request, stdio, control)
    except (sandbox.SandboxError, OSError) as problem:
        tell(control, {"error": f"the sandbox can't be made: {problem}"})
    finally:
        os._exit(status)


def tell(control: socket.socket, message: dict[str, Any], *descriptors: int) -> None:
    """Send one message to the server, if it still listens."""
    try:
        socket.send_fds(control, [json.dumps(message).encode()], descriptors)
    except (BrokenPipeError, ConnectionResetError):
        os._exit(1)  # nobody waits for this attempt any more


def _start_connector(inlet: int, others: Sequence[int]) -> None:
    """Start a process that makes connections to the step's ports and passes them out.

    A socket belongs to the network that it was made in, whoever holds it: so one that is made here leads to the
    step's ports, and the server, which could never enter this network, can use it. The process never waits for a
    connection to be made, so a step that accepts none holds up nothing.
    """
    if os.fork() != 0:
        os.close(inlet)
        return
    try:
        sandbox.die_with_parent(signal.SIGKILL)
        for descriptor in others:
            os.close(descriptor)
        with socket.socket(fileno=inlet) as server:
            while asked := server.recv(16):
                _connect(server, int(asked))
    finally:
        os._exit(0)


def _connect(server: socket.socket, port: int) -> None:
    with socket.socket() as inside:
        inside.setblocking(False)
        problem = inside.connect_ex(("127.0.0.1", port))
        if problem in (0, errno.EINPROGRESS):
            socket.send_fds(server, [b"0"], [inside.fileno()])
        else:
            server.send(str(problem).encode())


def _let_go_of_all_but(kept: Sequence[int]) -> None:
    """Close what the launcher had open; the control socket of another attempt must end with that attempt."""
    previous = 2
    for descriptor in sorted(kept):
        os.closerange(previous + 1, descriptor)
        previous = descriptor
    os.closerange(previous + 1, 1 << 20)


def _run(request: dict[str, Any], stdio: Sequence[int], control: socket.socket) -> int:
    started = time.monotonic()
    try:
        pid = _start_step(request, stdio)
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
        code = _NOT_FOUND if missing else _NOT_RUN
        tell(control, {"refused": problem.filename, "why": problem.strerror, "code": code})
        return 1
    for descriptor in stdio:
        os.close(descriptor)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    status = _wait(pid)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if not request["root"]:
        _kill_descendants()
    code = os.waitstatus_to_exitcode(status)
    tell(control, {"code": code, "seconds": seconds, "peak": peak})
    return 0


def _start_step(request: dict[str, Any], stdio: Sequence[int]) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)
    os.chdir(request["cwd"])
    os.environ["PATH"] = request["env"]["PATH"]  # where the command is looked for
    return os.posix_spawnp(
        request["cmd"][0],
        request["cmd"],
        request["env"],
        file_actions=[(os.POSIX_SPAWN_DUP2, each, target) for target, each in enumerate(stdio)],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them, and a program would inherit that
    )


def _wait(pid: int) -> int:
    """Wait for the step; bury orphans meanwhile."""
    while True:
        gone, status = os.waitpid(-1, 0)
        if gone == pid:
            return status


def _kill_descendants() -> None:
    """Kill the children that are left until there are none; each one's own children come to us in turn."""
    while children := _children():
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _children() -> list[int]:
    mine = str(os.getpid())
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                parent = file.read().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it ended while we looked
        if parent == mine:
            found.append(int(name))
    return found
