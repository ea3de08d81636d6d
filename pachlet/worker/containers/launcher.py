"""One worker's container: made when it is first needed, kept warm, made anew when an attempt had to be killed.

Read next: box.py (what a container is made of), loop.py (what runs inside), attempt.py (how an attempt is watched).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from pachlet.config import command_environ
from pachlet.errors import FailedPrecondition, InvalidArgument, Unavailable
from pachlet.worker.containers.attempt import ContainerAttempt, new_mark
from pachlet.worker.containers.box import Box
from pachlet.worker.containers.engine import engine_errors
from pachlet.worker.containers.loop import ATTEMPT, CONTROL, GO, LOOP, LOOP_SCRIPT, STDIN, attempt_script
from pachlet.worker.containers.memory import Memory
from pachlet.worker.containers.service import podman_options
from pachlet.worker.processes import Doors
from pachlet.worker.watchdog import Watchdog, size_below


class ContainerLauncher:
    """Starts a worker's attempts, one at a time. `kill` of an attempt may come from another thread."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._lock = threading.Lock()
        self._container = ""
        self._stream: socket.socket | None = None
        self._held: list[Any] = []  # connections that are shut, but may be watched yet
        self._address = ""
        self._pid: int | None = None
        self._layer: list[str] = []
        self._has_shell = True
        self.memory = Memory(None, box.limits)

    def start(
        self, cmd: list[str], cwd: str, env: Mapping[str, str], stdin: str | None, doors: Doors
    ) -> ContainerAttempt:
        """Start an attempt.

        Raises:
            InvalidArgument: a container of this image can't start the command for this user.
        """
        if self._container and self.memory.complaint():
            self._forget()  # what filled its memory may be there still, where no program of ours can remove it
        if self._has_shell:
            try:
                return self._start_warm(cmd, cwd, env, stdin, doors)
            except _NoShell:
                self._has_shell = False
        return self._start_fresh(cmd, cwd, env, stdin)

    def attach(self, cmd: list[str], cwd: str, env: Mapping[str, str]) -> int:
        """Run a command in the container on our own terminal, by the engine's command line; return its exit code.

        Raises:
            FailedPrecondition: the image has no shell, or this machine not the engine's command line.
        """
        engine = self._box.engine
        if not engine.program:
            raise FailedPrecondition(
                f"the command line of {engine.name}, which connects a terminal, is not installed",
                hint="install it, or run the step with --run",
            )
        try:
            self._make_warm()
        except _NoShell:
            raise FailedPrecondition(
                f"there is no shell in image {self._box.image}", hint="--run runs the step"
            ) from None
        options = podman_options() if engine.name == "podman" else []
        terminal = ["--tty"] if os.isatty(0) and os.isatty(1) else []
        # By name alone, for values are for nobody's list of processes; but for what would change the engine's own.
        ours = command_environ(env)
        given = [name if ours[name] == value else f"{name}={value}" for name, value in env.items()]
        named = [word for each in given for word in ("--env", each)]
        words = ["exec", "--interactive", *terminal, *named, "--workdir", cwd, self._container, *cmd]
        done = subprocess.run([engine.program, *options, *words], env=ours, check=False)
        return done.returncode

    def _make_warm(self) -> None:
        """Make a container that waits, unless there is one."""
        box = self._box
        if not self._container:
            self._let_go()
            box.write(LOOP, LOOP_SCRIPT)
            box.write(ATTEMPT, "")
            self._create(["sh", f"{CONTROL}/{LOOP}"], box.environ, stdin=True)

    def close(self) -> None:
        """Remove the container with all that runs in it. May be called twice."""
        self._forget()
        self._let_go()
        self._box.close()

    def _start_warm(
        self, cmd: list[str], cwd: str, env: Mapping[str, str], stdin: str | None, doors: Doors
    ) -> ContainerAttempt:
        box = self._box
        self._make_warm()
        mark = new_mark()
        ports = box.open_doors(doors)
        box.write(STDIN, stdin or "")
        given = {**env, **box.door_environ}
        script = attempt_script(cmd, cwd, given, doors=ports, open_outputs=os.geteuid() != 0)
        box.write(ATTEMPT, script)
        assert self._stream is not None
        self.memory.begin()
        try:
            self._stream.sendall(f"{GO} {mark}\n".encode())
        except OSError:
            self._forget()  # it ended between two attempts; the next one is new
            return self._start_warm(cmd, cwd, env, stdin, doors)
        return self._attempt(self._stream, mark)

    def _start_fresh(
        self, cmd: list[str], cwd: str, env: Mapping[str, str], stdin: str | None
    ) -> ContainerAttempt:
        self._forget()
        self._let_go()
        self._create(cmd, {**self._box.environ, **env}, cwd=cwd, stdin=stdin is not None)
        self.memory.begin()
        assert self._stream is not None
        if stdin is not None:
            threading.Thread(target=_feed, args=(self._stream, stdin), daemon=True).start()
        return self._attempt(self._stream, "")

    def _attempt(self, stream: socket.socket, mark: str) -> ContainerAttempt:
        box = self._box
        watchdog, kept = None, box.engine.keeps_limits
        if box.limits.disk is not None or not kept:
            folders = [*map(str, box.written), *self._layer]
            watchdog = Watchdog(
                memory=None if kept else box.limits.memory,
                processes=None if kept else box.limits.processes,
                disk=box.limits.disk,
                folders=folders,
                volume=False,
                only_below=self._pid or 0,
                spared=sum(map(size_below, self._layer)),
            )
        return ContainerAttempt(
            stream, mark, self._forget, self._exit_code, self.memory, watchdog, self._address
        )

    def _create(self, command: list[str], env: Mapping[str, str], *, cwd: str = "/", stdin: bool) -> None:
        box, api = self._box, self._box.engine.api
        # A command that is not there, or a user whom the image does not know, is only found when it starts.
        try:
            made = api.create_container(
                box.image,
                command=command[1:],
                entrypoint=command[:1],
                environment=dict(env),
                user=box.user or None,
                working_dir=cwd,
                stdin_open=stdin,
                host_config=box.host_config(),
                labels=box.labels,
            )
            with self._lock:
                self._container = made["Id"]
            streams = {"stdin": int(stdin), "stdout": 1, "stderr": 1, "stream": 1}
            connection = api.attach_socket(self._container, params=streams)
            self._held.append(connection)  # it would close the socket that it holds
            self._stream = getattr(connection, "_sock", connection)
            assert self._stream is not None
            self._stream.settimeout(None)
            api.start(self._container)
        except Exception as error:
            said = str(getattr(error, "explanation", "") or error)
            self._forget()
            if refusal := _refusal(said, command[0], box.user):
                raise refusal from None
            with engine_errors(f"a container of {box.image}"):
                raise
        self._look()

    def _look(self) -> None:
        """Learn which process and which address the container has, and where what it writes to its image lies."""
        with engine_errors("where a container is"):
            found = self._box.engine.api.inspect_container(self._container)
        self._pid = int(found["State"].get("Pid") or 0) or None
        layer = ((found.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or ""
        self._layer = [layer] if os.access(layer, os.R_OK | os.X_OK) else []
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        addresses = [each.get("IPAddress") for each in networks.values() if each.get("IPAddress")]
        self._address = next(iter(addresses), (found.get("NetworkSettings") or {}).get("IPAddress") or "")
        # Without a control group of its own the container's numbers would be the server's.
        self.memory = Memory(self._pid if self._box.engine.keeps_limits else None, self._box.limits)

    def _exit_code(self) -> tuple[int | None, str]:
        """Return how a container ended that was not told to, and forget it."""
        with self._lock:
            container = self._container
        gone = None, "the container was ended from outside, or the service of its engine was"
        if self._has_shell:
            # Its loop does not end by itself; and it may run on, where it is the engine that ended.
            self._forget()
            return gone
        if not container:
            return gone
        try:
            with engine_errors("how a container ended"):
                self._box.engine.api.wait(container)
                state = self._box.engine.api.inspect_container(container)["State"]
        except (FailedPrecondition, Unavailable):
            return gone
        self._forget()
        return int(state["ExitCode"]), ""

    def _forget(self) -> None:
        """Remove the container, if there is one; once this returns, nothing of it runs."""
        with self._lock:
            container, self._container = self._container, ""
            stream, self._stream = self._stream, None
        if container:
            with (
                contextlib.suppress(FailedPrecondition, Unavailable),
                engine_errors("the removal of a container"),
            ):
                self._box.engine.api.remove_container(container, force=True, v=True)
        if stream is not None:
            # Only shut: another thread may be watching it, and closing would take it out from under its hands.
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for connection in held:
            with contextlib.suppress(OSError):
                getattr(connection, "_sock", connection).close()
                connection.close()


class _NoShell(Exception):
    """The image has no `sh`."""


def _feed(stream: socket.socket, text: str) -> None:
    with contextlib.suppress(OSError):  # a step that does not read is no error
        stream.sendall(text.encode())
        stream.shutdown(socket.SHUT_WR)


def _refusal(said: str, program: str, user: str) -> Exception | None:
    """Say in our words why a container could not be started."""
    lower = said.lower()
    unknown = ("no matching entries", "unable to find user", "unable to find group")
    if user and any(each in lower for each in unknown):
        return InvalidArgument(
            f"transform.user {user} is not known in the image",
            hint="name a user of the image's /etc/passwd, or none",
        )
    if ("executable file" in lower and "not found" in lower) or (
        "no such file or directory" in lower
        and f'"{program}"' in said  # else it is a program of the engine's
    ):
        return _NoShell() if program == "sh" else InvalidArgument(f"{program} is not in the image")
    if "permission denied" in lower and program != "sh":
        return InvalidArgument(f"{program}: Permission denied")
    return None
