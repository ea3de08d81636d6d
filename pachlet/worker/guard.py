"""The guard: the first process of an attempt, which builds the sandbox, starts the step and waits for it.

It is process 1 of its own process namespace, so the step is an ordinary process with the usual signals,
orphans are reaped, and when the guard ends the kernel kills all the rest. Where there are no namespaces it
adopts the orphans instead and kills them one by one. It reports what became of the step on the control
socket.

Read next: sandbox.py (the root that the step gets), launcher.py (who clones the guard).
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import random
import re
import resource
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from pachlet.worker import sandbox
from pachlet.worker.watchdog import INTERVAL, Excess, Watchdog

_NOT_FOUND, _NOT_RUN = 127, 126


def guard(
    request: dict[str, Any],
    stdio: Sequence[int],
    control: socket.socket,
    owner: tuple[int, int],
    more: Sequence[int],
) -> NoReturn:
    """Do all that a guard does, and end the process. `request` has the fields that launching.py writes.

    `more` are the entrances of its control groups and, where there are any, its secrets and its inlet.
    """
    status = 1
    try:
        _let_go_of_all_but([*stdio, control.fileno(), *more])
        given = list(more)
        _enter_groups([given.pop(0) for _ in range(request["entrances"])])
        secrets = _take_secrets(given.pop(0) if request["secrets"] else None)
        inlet = given.pop(0) if given else None
        first_to_end = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # until there is a step to end
        os.setsid()
        if request["root"]:
            sandbox.die_with_parent(signal.SIGKILL)
            sandbox.forget_keys()
            if request["server_port"]:
                sandbox.open_low_ports()
            sandbox.enter(sandbox.Root(**request["root"]), owner, secrets["files"])
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
        request["env"].update(secrets["environ"])
        status = _run(request, stdio, control, first_to_end)
    except (sandbox.SandboxError, OSError) as problem:
        tell(control, {"error": f"the sandbox can't be made: {problem}"})
    finally:
        os._exit(status)


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


def _run(request: dict[str, Any], stdio: Sequence[int], control: socket.socket, first_to_end: int) -> int:
    started = time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # it wakes us while we look after the step
    watchdog = _watchdog(request)
    try:
        pid = _start_step(request, stdio, first_to_end)
    except OSError as problem:
        missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
        code = _NOT_FOUND if missing else _NOT_RUN
        tell(control, {"refused": problem.filename, "why": problem.strerror, "code": code})
        return 1
    for descriptor in stdio:
        os.close(descriptor)
    signal.signal(signal.SIGTERM, lambda *_: _kill(pid))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    status = _wait(pid, watchdog)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if watchdog is not None:
        peak = max(peak, watchdog.peak)
    if isinstance(status, Excess):  # before anything ends, or the step could seem to have ended by itself
        tell(control, {"excess": status._asdict(), "peak": peak})
    if not request["root"]:
        _kill_descendants()
    if isinstance(status, int):
        tell(control, {"code": os.waitstatus_to_exitcode(status), "seconds": seconds, "peak": peak})
    return 0


def _watchdog(request: dict[str, Any]) -> Watchdog | None:
    """Return what looks after the limits that no control group keeps, or None if there is nothing to look at."""
    watched = request["watched"]
    if not watched:
        return None
    return Watchdog(
        memory=watched.get("memory"),
        processes=watched.get("processes"),
        disk=watched.get("disk"),
        folders=request["folders"],
        volume="volume" in watched,
        only_below=None if request["root"] else os.getpid(),
    )


def _start_step(request: dict[str, Any], stdio: Sequence[int], first_to_end: int) -> int:
    _limit(request["watched"], bool(request["root"]))
    before = os.read(first_to_end, 16)
    os.write(first_to_end, b"1000")
    try:
        return _spawn(request, stdio)
    finally:
        # When memory runs out it is a process of the step that has to go, not us, who tell of it.
        os.write(first_to_end, before)
        os.close(first_to_end)


def _limit(watched: dict[str, int], is_alone: bool) -> None:
    """Set the limits that the kernel keeps for each process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "disk" in watched:
        resource.setrlimit(resource.RLIMIT_FSIZE, (watched["disk"], watched["disk"]))
    if "processes" in watched and is_alone and _counts_by_namespace():
        resource.setrlimit(resource.RLIMIT_NPROC, (watched["processes"], watched["processes"]))
    if "cpus" in watched:
        ours = os.sched_getaffinity(0)
        os.sched_setaffinity(0, random.sample(sorted(ours), min(len(ours), watched["cpus"])))


def _counts_by_namespace() -> bool:
    """Tell whether RLIMIT_NPROC counts this user's processes in this user namespace only (since Linux 5.14)."""
    return tuple(int(each) for each in re.findall(r"\d+", os.uname().release)[:2]) >= (5, 14)


def _spawn(request: dict[str, Any], stdio: Sequence[int]) -> int:
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


def _wait(pid: int, watchdog: Watchdog | None) -> int | Excess:
    """Wait for the step, or for what it used too much of; bury orphans meanwhile."""
    while True:
        gone, status = os.waitpid(-1, 0 if watchdog is None else os.WNOHANG)
        if gone == pid:
            return status
        if (
            gone == 0
            and watchdog is not None
            and signal.sigtimedwait([signal.SIGCHLD], INTERVAL) is None
            and (found := watchdog.look()) is not None
        ):
            return found


def _kill(pid: int) -> None:
    # Told twice, by a lost control and then by the launcher's end, we may have buried it already: that must not end us
    # before its descendants are gone.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


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
