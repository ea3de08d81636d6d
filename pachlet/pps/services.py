"""Keep services reachable: one port of this machine for each, and behind it the newest version that answers.

The port is opened when a version first asks to be let through, and stays open while the pipeline is there; versions
come and go behind it (worker/forwarding.py). It is a port of the loopback interface, `external_port` or a free one,
which is remembered for the next start of the server.

Read next: service_run.py (one version).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pachlet.errors import FailedPrecondition
from pachlet.pps.engine import Engine
from pachlet.pps.pipelines import PipelineRecord
from pachlet.worker.forwarding import Backend, Forwarder, Forwarding

DRAIN_SECONDS = 30.0
"""How long connections that can't move (a web socket, gRPC) may go on with the version before."""


@dataclass
class _Service:
    forwarder: Forwarder
    users: set[int]
    """The versions that run, or are about to."""
    order: int = 0
    """The newest of them that has been let through."""
    backend: Backend | None = None
    retire: Callable[[], None] | None = None


class Services:
    """The ports of all services, and who is behind them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._forwarding: Forwarding | None = None
        self._open: dict[int, _Service] = {}

    def open_port(self, pipeline: PipelineRecord, order: int) -> int:
        """Open the port of a service for a version (`order` says which is newer), and return its number.

        It stays open until `is_over` was said of every version that it was opened for.

        Raises:
            FailedPrecondition: somebody else has it.
        """
        asked = external_port(pipeline)
        with self._lock:
            found = self._open.get(pipeline.key)
            if found is not None:
                found.users.add(order)
                if not asked or found.forwarder.port == asked:
                    return found.forwarder.port
            self._forwarding = self._forwarding or Forwarding()
            forwarder = self._listen(self._forwarding, pipeline.key, asked)
            if found is not None:  # an update has moved the service to another port
                forwarder.set_live(found.backend)
                found.forwarder.close()
                found.forwarder = forwarder
            else:
                self._open[pipeline.key] = _Service(forwarder, {order})
        with self._engine.database.write() as db:
            if db.first("get_pipeline_by_key", key=pipeline.key) is not None:
                db.run("put_service_port", pipeline=pipeline.key, port=forwarder.port)
        return forwarder.port

    def _listen(self, forwarding: Forwarding, key: int, asked: int) -> Forwarder:
        if asked:
            return forwarding.listen(asked)
        with self._engine.database.read() as db:
            before = db.value("get_service_port", pipeline=key)
        try:
            return forwarding.listen(before or 0)
        except FailedPrecondition:  # somebody took the port while the server was down
            return forwarding.listen(0)

    def answers(self, key: int, order: int, backend: Backend, retire: Callable[[], None]) -> bool:
        """Let a version through; what answered before is retired. False if a newer one is through."""
        with self._lock:
            service = self._open.get(key)
            if service is None or order < service.order:
                return False
            old, service.retire = service.retire if order > service.order else None, retire
            service.order, service.backend = order, backend
            service.forwarder.set_live(backend)
        if old is not None:
            old()
        return True

    def is_gone(self, key: int, backend: Backend) -> None:
        """Let nobody through to a process that has ended; who comes meanwhile waits a while."""
        with self._lock:
            service = self._open.get(key)
            if service is not None and service.backend is backend:
                service.backend = None
                service.forwarder.set_live(None)

    def drain(self, key: int, backend: Backend) -> None:
        """Wait until a version that was replaced has no connections any more."""
        service = self._open.get(key)
        if service is not None:
            service.forwarder.drain(backend, DRAIN_SECONDS)

    def is_over(self, key: int, order: int) -> None:
        """Close the port of a service, unless another version of it runs: it was stopped or deleted."""
        with self._lock:
            service = self._open.get(key)
            if service is None:
                return
            service.users.discard(order)
            if service.users:
                return
            del self._open[key]
        service.forwarder.close()

    def close(self) -> None:
        """Close every port; all versions have ended."""
        with self._lock:
            for service in self._open.values():
                service.forwarder.close()
            self._open.clear()
            if self._forwarding is not None:
                self._forwarding.close()
                self._forwarding = None


def external_port(pipeline: PipelineRecord) -> int:
    """Return the port of this machine that a service asks for, 0 if any will do."""
    service = pipeline.spec.get("service") or (pipeline.spec.get("spout") or {}).get("service") or {}
    return int(service.get("external_port") or 0)


def internal_port(pipeline: PipelineRecord) -> int:
    """Return the port that the code of a service listens on, 0 if it is no service."""
    service = pipeline.spec.get("service") or (pipeline.spec.get("spout") or {}).get("service") or {}
    return int(service.get("internal_port") or 0)
