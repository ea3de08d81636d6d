"""Tell clients of Pachyderm 1.x, whose services have other names, that they are too old.

Read next: handlers.py (the services that there are).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc

_OLD = {
    f"{name}.API"
    for name in (
        "admin",
        "auth",
        "debug",
        "enterprise",
        "identity",
        "pfs",
        "pps",
        "transaction",
        "versionpb",
    )
}


class OldClients(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers every RPC of the services of 1.x with one sentence."""

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        """Return what refuses the call if it is one of 1.x."""
        name = handler_call_details.method.split("/")[1]
        return grpc.stream_stream_rpc_method_handler(_refuse) if name in _OLD else None


def _refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    context.abort(
        grpc.StatusCode.UNKNOWN,
        "this server speaks the API of Pachyderm 2.x, and your client appears to be an older version: upgrade it",
    )
    yield b""
