"""The guard: the first process of a worker's sandbox, which builds it, and starts and ends attempt after attempt in it.

It is process 1 of its own process namespace, so each step is an ordinary process with the usual signals, orphans are
reaped, and when the guard ends the kernel kills all the rest. Between two attempts it kills whatever is left itself,
and takes away what an attempt could leave in the kernel: so the next one finds what the first one found, for a tenth
of what a new sandbox costs. A guard that a step has tampered with (a process may lower the limits of any process of
its own user) ends, and the next attempt gets a new one.

Where there are no namespaces it adopts the orphans instead, kills them one by one and serves one attempt only. It
reports on its line to the server.

Read next: steps.py (how a step is run), sandbox.py (the root that the step gets), launcher.py (who clones the guard).
"""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pachlet.worker import sandbox
from pachlet.worker.passing import receive
from pachlet.worker.steps import Step, Steps, kill_all_others
from pachlet.worker.syscalls import take_away

_MESSAGE = 1 << 16


def guard(
    request: dict[str, Any], line: socket.socket, owner: tuple[int, int], more: Sequence[int]
) -> NoReturn:
    """Do all that a guard does, and end the process. `request` has the fields of launching.py: Walls.

    `more` are the entrances of its control groups and, where there are any, its secrets and its inlet.
    """
    status = 1
    try:
        _let_go_of_all_but([line.fileno(), *more])
        given = list(more)
        _enter_groups([given.pop(0) for _ in range(request["entrances"])])
        secrets = _take_secrets(given.pop(0) if request["secrets"] else None)
        inlet = given.pop(0) if given else None
        steps = Steps(request)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's handler would let a step end us
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # until there is a step to end
        os.setsid()
        if request["root"]:
            sandbox.die_with_parent(signal.SIGKILL)
            if request["server_port"]:
                sandbox.open_low_ports()
            sandbox.enter(sandbox.Root(**request["root"]), owner, secrets["files"])
            if not request["network"]:
                sandbox.raise_loopback()
        else:
            sandbox.die_with_parent(signal.SIGTERM)
            sandbox.adopt_orphans()
        port = str(_open_doors(request, line))
        environ = {**secrets["environ"], "PPS_WORKER_GRPC_PORT": port, "PACHLET_DATUMS_PORT": port}
        if request["root"]:
            sandbox.renounce_for_children()
            take_away()
        if inlet is not None:
            _start_connector(inlet, [line.fileno()])
        _serve(request, line, steps, environ)
        status = 0
    except (sandbox.SandboxError, OSError) as problem:
        tell(line, {"error": f"the sandbox can't be made: {problem}"})
    finally:
        os._exit(status)


def _open_doors(request: dict[str, Any], line: socket.socket) -> int:
    """Make the listening sockets, pass them out, and return the port at which the step finds the worker."""
    port = 0 if request["network"] or not request["root"] else request["port"]
    with socket.create_server(("127.0.0.1", port)) as listener:
        port = listener.getsockname()[1]
        tell(line, {"door": "worker"}, listener.fileno())
    if request["server_port"]:
        with socket.create_server(("127.0.0.1", request["server_port"])) as listener:
            tell(line, {"door": "server"}, listener.fileno())
    return int(port)


def _serve(request: dict[str, Any], line: socket.socket, steps: Steps, environ: Mapping[str, str]) -> None:
    """Run attempts until nobody asks for any more, or this guard is not fit for another."""
    root = sandbox.Root(**request["root"]) if request["root"] else None
    is_first = True
    while True:
        message, descriptors = receive(line, _MESSAGE, 8)
        if not message:
            return
        if not is_first and root is not None:
            sandbox.renew(root)
        is_first = False
        report = _attempt(message, descriptors, steps, environ, line)
        if not request["stays"]:
            if root is None:
                steps.kill_descendants()
            tell(line, report)
            return
        peak = kill_all_others()
        if "peak" in report:
            report["peak"] = max(report["peak"], peak)
        tell(line, {**report, "over": True, "is_fit": steps.are_as_before()})


def _attempt(
    message: bytes, descriptors: Sequence[int], steps: Steps, environ: Mapping[str, str], line: socket.socket
) -> dict[str, Any]:
    """Run a step to its end; return what became of it."""
    try:
        if len(descriptors) > 3:
            with open(descriptors[3], "rb", closefd=False) as file:
                file.seek(0)
                message = file.read()
        asked = json.loads(message)
        step = Step(asked["cmd"], asked["cwd"], {**asked["env"], **environ})
        steps.start(step, descriptors[:3])
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
        return {"refused": problem.filename, "why": problem.strerror, "code": 127 if missing else 126}
    except ValueError as problem:  # the server refuses such a spec; one that it took before must not end us
        return {"refused": "what is to be run", "why": str(problem), "code": 126}
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return steps.wait(lambda excess: tell(line, excess))


def _enter_groups(entrances: Sequence[int]) -> None:
    """Enter control groups first of all: the memory of everything from here on is counted there."""
    for entrance in entrances:
        os.write(entrance, b"0")
        os.close(entrance)


def _take_secrets(descriptor: int | None) -> dict[str, dict[str, Any]]:
    if descriptor is None:
        return {"files": {}, "environ": {}}
    with open(descriptor, "rb") as file:
        file.seek(0)
        found = json.load(file)
    files = {path: base64.b64decode(text) for path, text in found["files"].items()}
    environ = {key: os.fsdecode(base64.b64decode(text)) for key, text in found["environ"].items()}
    return {"files": files, "environ": environ}


def tell(line: socket.socket, message: dict[str, Any], *descriptors: int) -> None:
    """Send one message to the server, if it still listens."""
    try:
        socket.send_fds(line, [json.dumps(message).encode()], descriptors)
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
        sandbox.drop_privileges()
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
    """Close what the launcher had open; the control socket of another guard must end with that guard."""
    previous = 2
    for descriptor in sorted(kept):
        os.closerange(previous + 1, descriptor)
        previous = descriptor
    os.closerange(previous + 1, 1 << 20)
