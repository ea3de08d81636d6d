"""What the containers of one worker are made of: image, folders, user, network, limits, secrets.

The step sees /pfs read-only and writes to /pfs/out and /tmp, which are folders of this machine, so that they can be
filled, collected and emptied without the engine. Secrets, and the scripts that may hold them, lie in memory. The rest
of the image's file system can be written to, as on a cluster, and goes with the container.

Read next: launcher.py.
"""

from __future__ import annotations

import posixpath
import shutil
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.worker.attempts import Place
from pachlet.worker.capacity import memory_for_steps
from pachlet.worker.containers.engine import Engine
from pachlet.worker.containers.loop import CONTROL, DOORS
from pachlet.worker.containers.profile import narrowed
from pachlet.worker.interface import SERVER_PORT, Limits, Reach
from pachlet.worker.launching import WORKER_PORT
from pachlet.worker.processes import Doors
from pachlet.worker.sandbox import HIDDEN
from pachlet.worker.volumes import make_volume

OWNER_LABEL = "pachlet.server"
"""On every container: whose it is, so that the next server of a data directory removes what a killed one left."""


@dataclass(frozen=True)
class _Door:
    name: str
    port: int


class Box:
    """The containers of one worker: each is made of this."""

    def __init__(self, engine: Engine, image: str, place: Place, owner: str) -> None:
        self.engine = engine
        self.image = image
        self._place = place
        self.labels = {OWNER_LABEL: owner}
        transform = place.transform
        self.user = transform.user
        self.limits: Limits = transform.limits
        self.environ: Mapping[str, str] = {**transform.env, **place.environ}
        secrets = transform.secrets
        is_given = bool(secrets.files or secrets.environ)
        # Below a folder of ours alone: what lies in it is for all users of the image's, and for none of the machine's.
        self._made = make_volume() if is_given else place.folder / "container"
        self._control = self._made / "control"
        self._control.mkdir(parents=True, exist_ok=True)
        self._made.chmod(0o700)
        self._control.chmod(0o755)
        self._secrets = self._write_secrets(secrets.files)
        self._doors = self._wanted_doors()
        # A folder with a short name: those of sockets have a limit.
        self._sockets = Path(tempfile.mkdtemp(prefix="pachlet-")) if self._doors else None
        if self._sockets is not None:
            self._sockets.chmod(0o755)
            (self._control / DOORS).mkdir(exist_ok=True)

    @property
    def written(self) -> tuple[Path, Path]:
        """The folders of this machine that the step writes to."""
        return self._place.pfs / "out", self._place.tmp

    def host_config(self) -> dict[str, Any]:
        """Return the engine's words for what surrounds a container of this worker."""
        pfs, tmp, limits = self._place.pfs, self._place.tmp, self.limits
        tmp.mkdir(exist_ok=True)
        for folder in self.written:
            folder.chmod(0o1777 if folder == tmp else 0o777)  # the step may be any user of the image's
        binds = [
            f"{pfs}:/pfs:ro",
            f"{pfs}/out:/pfs/out:rw",
            f"{tmp}:/tmp:rw",
            f"{self._control}:{CONTROL}:ro",
        ]
        if self._sockets is not None:
            binds.append(f"{self._sockets}:{CONTROL}/{DOORS}:ro")
        binds += [f"{source}:{path}:ro" for path, source in self._place.shown.items()]
        binds += [f"{source}:{path}:ro" for path, source in self._secrets.items()]
        # Without a limit of its own, a step that eats all memory ends before the server does, or anything else.
        memory = limits.memory or memory_for_steps()
        found: dict[str, Any] = self.engine.api.create_host_config(
            binds=binds,
            network_mode={"none": "none", "inner": "bridge", "host": "bridge"}[self._place.network],
            ulimits=self.engine.ulimits,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges", "label=disable", *self._narrower()],
            oom_score_adj=1000,
            pids_limit=limits.processes,
            mem_limit=memory,
            memswap_limit=memory,
            nano_cpus=int(limits.cpu * 1e9) if limits.cpu else None,
        )
        return found

    def _narrower(self) -> list[str]:
        """Return what is to be taken from a step that Podman would leave it."""
        if self.engine.name != "podman":
            return []
        hidden = ":".join(f"/proc/{name}" for name in HIDDEN.split())
        if not (profile := narrowed()):
            return [f"mask={hidden}"]
        path = self._made / "system-calls.json"
        path.write_text(profile)
        return [f"mask={hidden}", f"seccomp={path}"]

    def write(self, name: str, text: str) -> None:
        """Put a file into the control folder."""
        path = self._control / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)

    def open_doors(self, doors: Doors) -> dict[str, int]:
        """Listen at the doors that this worker's steps have; return their names and ports inside."""
        if self._sockets is None:
            return {}
        serve = {"worker": doors.worker, "server": doors.server}
        for door in self._doors:
            serve[door.name](_listen(self._sockets / door.name))
        return {door.name: door.port for door in self._doors}

    @property
    def door_environ(self) -> dict[str, str]:
        """Return the variables by which a step finds the worker, where it may ask it for datums.

        Without batching there is no door, so that no relay has to be started for each attempt, and no variable that
        leads to a closed one.
        """
        port = next((str(door.port) for door in self._doors if door.name == "worker"), "")
        return {"PPS_WORKER_GRPC_PORT": port, "PACHLET_DATUMS_PORT": port} if port else {}

    def close(self) -> None:
        """Remove what was made. May be called twice."""
        for folder in (self._made, self._sockets):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _wanted_doors(self) -> list[_Door]:
        found = [_Door("worker", WORKER_PORT)] if self._place.transform.datum_batching else []
        if self._place.network == "inner" or (self._place.network == "host" and self._place.server):
            found.append(_Door("server", door_port(self._place.server, self._place.network)))
        return found

    def _write_secrets(self, files: Mapping[str, bytes]) -> dict[str, Path]:
        """Write secrets below the control folder; return which folder is to be mounted where."""
        mounts: dict[str, Path] = {}
        for path, content in files.items():
            at = posixpath.dirname(path)
            folder = mounts.setdefault(at, self._control / f"secrets-{len(mounts)}")
            folder.mkdir(exist_ok=True)
            file = folder / posixpath.basename(path)
            file.write_bytes(content)
            file.chmod(
                0o444
            )  # whoever the step is in the image; on this machine the folder above is ours alone
        return mounts


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen()
    return listener


def door_port(server: str, network: Reach) -> int:
    """Return the port of a container's loopback where a step with that network is led to `server`."""
    return SERVER_PORT if network == "inner" else int(server.rpartition(":")[2])
