"""Open a session for a process that is not to end, a spout's or a service's, and start it again when it does.

It gets what a datum's step does not: a way to the server, as in a cluster. PACHD_PEER_SERVICE_HOST and _PORT say where
that is, /pachctl/config.json says it to pachctl and both Python clients, and a pachctl is at the end of the PATH, for
images that have none.

Read next: spouts.py, service_run.py.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pachlet
from pachlet.pps.engine import Engine
from pachlet.pps.logbook import Source
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.running import transform_of
from pachlet.pps.secrets import transform_secrets
from pachlet.worker.attempts import PROGRAMS
from pachlet.worker.interface import Image, Prepared, Reach, Secrets, Session

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 60.0
_STEADY = 60.0
"""A process that ran for so many seconds is no crashing one: the next wait is a short one again."""


class Patience:
    """How long to wait before a process is started again: longer each time, until it has run steadily for a while."""

    def __init__(self) -> None:
        self._wait = 0.0

    def after(self, seconds: float) -> float:
        """Return how long to wait after a process that ran for so many seconds."""
        started_anew = self._wait == 0.0 or seconds >= _STEADY
        self._wait = _FIRST_WAIT if started_anew else min(2 * self._wait, _LONGEST_WAIT)
        return self._wait


class Stop:
    """Asks a thread that keeps a process to end it, from another thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.reason = ""
        self._lock = threading.Lock()
        self._session: Session | None = None

    def __bool__(self) -> bool:
        return self.event.is_set()

    def watch(self, session: Session) -> None:
        """Take the session that has to end with it."""
        with self._lock:
            self._session = session
            if self:
                session.kill(self.reason, for_good=True)

    def ask(self, reason: str) -> None:
        """Ask; the first reason counts."""
        with self._lock:
            self.reason = self.reason or reason
            self.event.set()
            if self._session is not None:
                self._session.kill(self.reason, for_good=True)


def prepare(engine: Engine, pipeline: PipelineRecord, source: Source, image: Image | None = None) -> Prepared:
    """Make a pipeline's image runnable, as it is now unless `image` says how it was."""
    image = image or engine.runner.resolve(pipeline.spec["transform"]["image"])
    if image.warning:
        engine.logbook.master(source, image.warning)
    snapshot = engine.snapshots / image.digest.removeprefix("sha256:")
    return engine.runner.prepare(image, snapshot, lambda line: engine.logbook.master(source, line))


def open_session(
    engine: Engine, pipeline: PipelineRecord, prepared: Prepared, folder: Path, worker: str, reach: Reach
) -> Session:
    """Open a session that can reach the server."""
    host, _, port = engine.runner.way_to_server(engine.whereabouts.address, reach).rpartition(":")
    config = folder / "config.json"
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(_config(f"grpc://{host}:{port}", pipeline.project)) + "\n")
    with engine.database.read() as db:
        found = transform_secrets(db, pipeline.spec)
    transform = replace(transform_of(pipeline.spec), secrets=Secrets(found.environ, found.files))
    environ = {
        **engine.worker_environ(pipeline),
        "PPS_POD_NAME": worker,
        "PACHD_PEER_SERVICE_HOST": host,
        "PACHD_PEER_SERVICE_PORT": port,
        "PACHD_SERVICE_HOST": host,
        "PACHD_SERVICE_PORT": port,
    }
    return engine.runner.open(
        prepared,
        transform,
        folder,
        environ,
        network=reach,
        server=engine.whereabouts.address,
        shown={"/pachctl/config.json": config, **_pachctl()},
    )


def _config(address: str, project: str) -> Mapping[str, object]:
    context = {"pachd_address": address, "project": project}
    return {
        "user_id": "pachlet",
        "v2": {"active_context": "pachlet", "contexts": {"pachlet": context}, "metrics": False},
    }


def _pachctl() -> dict[str, Path]:
    """Return our pachctl and what it is made of: this interpreter, its environment and the package."""
    program = Path(sys.prefix, "bin", "pachctl")
    if not program.exists():
        return {}
    parts = {Path(sys.base_prefix), Path(sys.prefix), Path(pachlet.__file__).parent}
    outermost = [each for each in parts if not any(each.is_relative_to(other) for other in parts - {each})]
    return {f"{PROGRAMS}/pachctl": program, **{str(each): each for each in outermost}}
