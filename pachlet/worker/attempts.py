"""Say what an attempt is given: its command, its working folder, its environment and its root.

The environment is made from nothing: the image's ENV, a sane PATH, and what the spec and the engine add.
Nothing of the server's own environment gets in, so a datum's result can't depend on the shell that started
the server.

Read next: machine.py (the root), launching.py (who is given the request).
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pachlet.errors import InvalidArgument
from pachlet.worker.host import PATH
from pachlet.worker.interface import SERVER_PORT, Prepared, Reach, Transform
from pachlet.worker.launching import Request
from pachlet.worker.machine import make_root
from pachlet.worker.sandbox import Root

ROOT_VARIABLE = "PFS_ROOT"
"""An image that sets it promises to find its inputs where it says; see pachlet/step.py."""

ENV_FILE = ".env"
_PLAIN = re.compile(r"[\w./:@%+,=-]*")


@dataclass(frozen=True)
class Place:
    """What is the same for all attempts of a session."""

    prepared: Prepared
    transform: Transform
    folder: Path
    environ: Mapping[str, str]
    network: Reach
    sandboxed: bool
    server: str = ""
    shown: Mapping[str, Path] = field(default_factory=dict)

    @property
    def pfs(self) -> Path:
        """The folder shown as /pfs."""
        return self.folder / "pfs"

    def request(self, cmd: Sequence[str], environ: Mapping[str, str]) -> Request:
        """Return what to start for `cmd` with the datum's `environ`.

        Raises:
            InvalidArgument: the transform's user is unknown here.
        """
        prepared = self.prepared
        cwd = str(Path("/", self.transform.working_dir or prepared.working_dir))
        path = [f"{folder}/bin" for folder in (prepared.environment, prepared.python) if folder]
        env = {
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            **prepared.env,
            "PATH": ":".join([*path, prepared.env.get("PATH", PATH)]),
            **self.datum_environ(environ),
        }
        if not self.sandboxed:
            env[ROOT_VARIABLE] = str(self.pfs)
            return Request(cmd, f"{prepared.files}{cwd}", env, None, network=True)
        server_port = SERVER_PORT if self.network == "inner" else 0
        return Request(cmd, cwd, env, self._root, self.network == "host", server_port=server_port)

    @cached_property
    def _root(self) -> Root:
        shown = [folder for folder in (self.prepared.python, self.prepared.environment) if folder]
        ids = _who(self.transform.user)
        at = self.folder / "root"
        return make_root(at, self.prepared.files, shown, self.pfs, ids, self.network == "host", self.shown)

    def datum_environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return what the spec, the engine and the datum add to the image's environment."""
        added = {**self.transform.env, **self.environ, **environ}
        return added if self.sandboxed else {key: self._outside(value) for key, value in added.items()}

    def write_env_file(self, environ: Mapping[str, str]) -> None:
        """Write /pfs/.env, which a process that serves many datums loads for each of them."""
        lines = [f"{key}={_quote(value)}\n" for key, value in self.datum_environ(environ).items()]
        (self.pfs / ENV_FILE).write_text("".join(lines), encoding="utf-8")

    def _outside(self, value: str) -> str:
        return f"{self.pfs}{value[4:]}" if value == "/pfs" or value.startswith("/pfs/") else value


def _quote(value: str) -> str:
    """Quote a value as dotenv readers understand it, where that is needed."""
    if _PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _who(user: str) -> tuple[int, int] | None:
    """Return the ids of `user` (a name or number, perhaps with :group) as this machine knows it."""
    if not user:
        return None
    name, _, group = user.partition(":")
    known = next((each for each in pwd.getpwall() if name in (each.pw_name, str(each.pw_uid))), None)
    if known is None or group not in ("", str(known.pw_gid)):
        raise InvalidArgument(
            f"transform.user {user} is not known on this machine", hint="name a user of /etc/passwd, or none"
        )
    return known.pw_uid, known.pw_gid
