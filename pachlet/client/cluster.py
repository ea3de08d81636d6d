"""Ask a server what it is, and empty it.

Read next: context.py (which server).
"""

from __future__ import annotations

from pachlet import __version__
from pachlet.client.connection import Connection, Message
from pachlet.errors import Unimplemented

SPOKEN = "2.12"
"""The version of Pachyderm whose words and messages this client uses."""


def get_version(connection: Connection, *, timeout: float | None = None) -> Message:
    """Return the server's Version."""
    return connection.call("versionpb_v2.API", "GetVersion", {}, timeout=timeout)


def is_pachlet(connection: Connection) -> bool:
    """Tell whether the server is one of ours; it is asked once a connection."""
    if connection.is_pachlet is None:
        connection.is_pachlet = "pachlet" in get_version(connection).additional
    return connection.is_pachlet


def in_words(version: Message) -> str:
    """Show a Version, such as 2.12.0."""
    return f"{version.major}.{version.minor}.{version.micro}{version.additional}"


def describe(connection: Connection) -> Message | None:
    """Return what a pachlet server says of itself; None of any other."""
    try:
        return connection.call("pachlet.v1.Server", "Describe", {})
    except Unimplemented:
        return None


def inspect_cluster(connection: Connection) -> Message:
    """Return a ClusterInfo; NOT_FOUND if the connection's project does not exist."""
    major, minor, micro = (int(part) for part in __version__.split("."))
    request = {
        "client_version": {"major": major, "minor": minor, "micro": micro},
        "current_project": {"name": connection.project},
    }
    return connection.call("admin_v2.API", "InspectCluster", request)


def is_serving(connection: Connection, *, timeout: float = 5.0) -> bool:
    """Tell whether the server says that it is ready."""
    answer = connection.call("grpc.health.v1.Health", "Check", {}, timeout=timeout)
    return bool(answer.status == 1)


def delete_all(connection: Connection) -> None:
    """Delete every pipeline, repo, project, secret and transaction of the server."""
    connection.call("pps_v2.API", "DeleteAll", {})
    connection.call("pfs_v2.API", "DeleteAll", {})
    connection.call("transaction_v2.API", "DeleteAll", {})
