"""Create, inspect, list and delete secrets: values that steps may use and no spec holds.

A secret goes to the server as Kubernetes has it, a JSON with metadata.name and base64 data.

Read next: pachlet/api/secret_service.py (what becomes of it).
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.client.connection import Connection, Message

SERVICE = "pps_v2.API"


def create_secret(connection: Connection, file: bytes) -> None:
    """Keep a secret, given as Kubernetes' JSON."""
    connection.call(SERVICE, "CreateSecret", {"file": file})


def inspect_secret(connection: Connection, name: str) -> Message:
    """Return a SecretInfo; the values stay on the server."""
    return connection.call(SERVICE, "InspectSecret", {"secret": {"name": name}})


def list_secret(connection: Connection) -> Iterator[Message]:
    """Yield a SecretInfo for each secret."""
    yield from connection.call(SERVICE, "ListSecret", {}).secret_info


def delete_secret(connection: Connection, name: str) -> None:
    """Forget a secret."""
    connection.call(SERVICE, "DeleteSecret", {"secret": {"name": name}})
