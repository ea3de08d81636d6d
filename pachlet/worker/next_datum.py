"""The gRPC service pachyderm.worker.Worker, which a step asks for datum after datum.

Read next: batching.py (who opens it, and what the calls are about).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from pachlet.wire import schema
from pachlet.worker.batching import NoDatum

_SERVICE = "pachyderm.worker.Worker"


class NextDatum:
    """A gRPC server at a Unix socket."""

    def __init__(self, next_datum: Callable[[str], list[str]], socket: str) -> None:
        """Serve at the path `socket`; each call reports an error to `next_datum` and waits for what it returns."""
        self._next_datum = next_datum
        self._server = grpc.server(ThreadPoolExecutor(2, "next-datum"))
        handler = grpc.unary_unary_rpc_method_handler(
            self._handle,
            request_deserializer=schema.message("pachyderm.worker.NextDatumRequest").FromString,
            response_serializer=schema.message("pachyderm.worker.NextDatumResponse").SerializeToString,
        )
        handlers = {"NextDatum": handler}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        self._server.add_insecure_port(f"unix:{socket}")
        self._server.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.stop(None).wait()

    def _handle(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            environ = self._next_datum(request.error)
        except NoDatum as reason:
            context.abort(grpc.StatusCode.UNKNOWN, str(reason))
        return schema.message("pachyderm.worker.NextDatumResponse")(env=environ)
