"""Say what an attempt is given: its command, its working folder, its environment and its root.

The environment is made from nothing: the image's ENV, a sane PATH, and what the spec and the engine add.
Nothing of the server's own environment gets in, so a datum's result can't depend on the shell that started
the server.

Read next: machine.py (the root), launching.py (the walls), cells.py (the command).
"""

from __future__ import annotations

import grp
import math
import os
import pwd
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from pachlet.errors import InvalidArgument
from pachlet.worker.cells import Command
from pachlet.worker.host import PATH
from pachlet.worker.interface import SERVER_PORT, Prepared, Reach, Transform
from pachlet.worker.launching import Walls
from pachlet.worker.machine import make_root
from pachlet.worker.sandbox import Root

ROOT_VARIABLE = "PFS_ROOT"
"""An image that sets it promises to find its inputs where it says; see pachlet/step.py."""

ENV_FILE = ".env"
PROGRAMS = "/pach-bin"
"""Where a step is shown programs of ours, if any: behind its own, so that an image's `pachctl` is the one it gets."""
_PLAIN = re.compile(r"[\w./:@%+,=-]*")


@dataclass(frozen=True)
class Place:
    """What is the same for all attempts of a session."""

    prepared: Prepared
    transform: Transform
    folder: Path
    volume: Path
    """Where what the step writes lies: `folder`, or a folder in memory."""
    environ: Mapping[str, str]
    network: Reach
    sandboxed: bool
    server: str = ""
    shown: Mapping[str, Path] = field(default_factory=dict)
    roots: Path = field(kw_only=True)
    """Where the places of roots are kept (machine.py)."""

    @cached_property
    def pfs(self) -> Path:
        """The folder shown as /pfs."""
        return self.volume / "pfs"

    @cached_property
    def tmp(self) -> Path:
        """The folder shown as /tmp."""
        return self.volume / "tmp"

    def locate(self, path: str) -> str | None:
        """Return where a path of the step's is on this machine: in its own folders, or in what it is shown."""
        if not self.sandboxed and path.startswith(f"{self.pfs}/"):
            return path
        for shown, below, folder in self._places:
            if path == shown or path.startswith(below):
                return f"{folder}{path[len(shown) :]}"
        return f"{self._root.at}{path}" if self.sandboxed else None

    @cached_property
    def _places(self) -> list[tuple[str, str, str]]:
        """What is shown, with and without a slash at its end, and where it is; the innermost first."""
        if not self.sandboxed:
            return [("/pfs", "/pfs/", str(self.pfs))]
        shown = [(target, os.path.realpath(source)) for source, target in self._root.binds]
        shown += [(target, os.path.realpath(source)) for source, target in self._root.below_tmp]
        shown.append(("/tmp", str(self.tmp)))
        shown.sort(key=lambda pair: len(pair[0]), reverse=True)
        return [(target, f"{target}/", folder) for target, folder in shown]

    def walls(self, kept: Container[str]) -> Walls:
        """Return what is around the attempts; `kept` are the limits of their control group.

        Raises:
            InvalidArgument: the transform's user is unknown here, or what it asks for needs a sandbox.
        """
        if not self.sandboxed:
            self._refuse_without_sandbox()
            outside = [str(self.pfs / "out")]
            return Walls(None, network=True, watched=self._watched(kept), folders=outside)
        return Walls(
            self._root,
            self.network == "host",
            server_port=SERVER_PORT if self.network == "inner" else 0,
            watched=self._watched(kept),
            folders=["/pfs/out", "/tmp"],
            stays=self._can_stay,
        )

    @property
    def _can_stay(self) -> bool:
        """Whether attempts can follow one another within the same walls.

        What is shown below /tmp goes when /tmp is emptied, and a service has one attempt that never ends.
        """
        secrets_stay = not any(path.startswith("/tmp/") for path in self.transform.secrets.files)
        return self.network != "inner" and not self._root.below_tmp and secrets_stay

    def command(self, cmd: Sequence[str], environ: Mapping[str, str]) -> Command:
        """Return what to start for `cmd` with the datum's `environ`."""
        env = {**self._image_environ, **self.datum_environ(environ)}
        if not self.sandboxed:
            env[ROOT_VARIABLE] = str(self.pfs)
        return Command(cmd, self._cwd, env)

    @cached_property
    def _cwd(self) -> str:
        cwd = str(Path("/", self.transform.working_dir or self.prepared.working_dir))
        return cwd if self.sandboxed else f"{self.prepared.files}{cwd}"

    @cached_property
    def _image_environ(self) -> dict[str, str]:
        prepared = self.prepared
        path = [f"{folder}/bin" for folder in (prepared.environment, prepared.python) if folder]
        return {
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            **prepared.env,
            "PATH": ":".join([*path, prepared.env.get("PATH", PATH), *self._added_programs]),
        }

    def _watched(self, kept: Container[str]) -> dict[str, int]:
        """Return the limits that the guard has to keep, because no control group does."""
        limits, watched = self.transform.limits, {}
        if "memory" not in kept:
            watched["look"] = 1  # also without a limit, so that the peak is known
            if limits.memory is not None:
                watched["memory"] = limits.memory
            if self.volume != self.folder:
                watched["volume"] = 1
        if "pids" not in kept:
            watched["processes"] = limits.processes
        if "cpu" not in kept and limits.cpu is not None:
            watched["cpus"] = max(1, math.ceil(limits.cpu))
        if limits.disk is not None:
            watched["disk"] = limits.disk
        return watched

    def _refuse_without_sandbox(self) -> None:
        asked = [
            name
            for name, is_asked in (
                ("transform.user", bool(self.transform.user)),
                ("transform.secrets with a mount_path", bool(self.transform.secrets.files)),
            )
            if is_asked
        ]
        if asked:
            raise InvalidArgument(
                f"{' and '.join(asked)} can't be had on this machine, which allows no sandbox",
                hint="allow user namespaces; a secret can be given as env_var",
            )

    @property
    def _added_programs(self) -> list[str]:
        return [PROGRAMS] if any(path.startswith(f"{PROGRAMS}/") for path in self.shown) else []

    @cached_property
    def _root(self) -> Root:
        shown = [folder for folder in (self.prepared.python, self.prepared.environment) if folder]
        ids = _who(self.transform.user)
        self.tmp.mkdir(exist_ok=True)
        self.tmp.chmod(0o1777)
        return make_root(
            self.roots,
            self.prepared.files,
            shown,
            self.pfs,
            ids,
            self.network == "host",
            self.shown,
            tmp=self.tmp,
            memory=self.transform.limits.memory,
            secrets=self.transform.secrets.files,
        )

    def datum_environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return what the spec, the engine and the datum add to the image's environment."""
        added = {**self.transform.env, **self.environ, **environ}
        return added if self.sandboxed else {key: self._outside(value) for key, value in added.items()}

    def write_env_file(self, environ: Mapping[str, str]) -> None:
        """Write /pfs/.env, which a process that serves many datums loads for each of them; `datum_environ` makes it."""
        lines = [f"{key}={_quote(value)}\n" for key, value in environ.items()]
        content = "".join(lines).encode()
        descriptor = os.open(f"{self.pfs}/{ENV_FILE}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, content)
            os.truncate(descriptor, len(content))  # ext4 writes a file out at once that was emptied first
        finally:
            os.close(descriptor)

    def _outside(self, value: str) -> str:
        return f"{self.pfs}{value[4:]}" if value == "/pfs" or value.startswith("/pfs/") else value


@lru_cache(maxsize=256)  # most variables of a datum are those of the datum before
def _quote(value: str) -> str:
    """Quote a value as dotenv readers understand it, where that is needed."""
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _who(user: str) -> tuple[int, int] | None:
    """Return the ids of `user` (a name or number, perhaps with :group) as this machine's /etc/passwd has them.

    The step sees itself as that user; on the machine it is the server's user all the same, who maps the one to the
    other, so no second user of the machine is needed, and none is harmed.
    """
    if not user:
        return None
    name, _, group = user.partition(":")
    known = next((each for each in pwd.getpwall() if name in (each.pw_name, str(each.pw_uid))), None)
    if known is None:
        raise InvalidArgument(
            f"transform.user {user} is not known on this machine", hint="name a user of /etc/passwd, or none"
        )
    if not group:
        return known.pw_uid, known.pw_gid
    ids = [each.gr_gid for each in grp.getgrall() if group in (each.gr_name, str(each.gr_gid))]
    if not ids:
        raise InvalidArgument(
            f"transform.user {user}: there is no group {group} on this machine",
            hint="name a group of /etc/group, or none",
        )
    return known.pw_uid, ids[0]
