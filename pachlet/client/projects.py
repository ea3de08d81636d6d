"""Create, inspect, list and delete projects.

A project is a name space for repos and pipelines. Deleting one is a client's work in Pachyderm: the pipelines
go first, then the repos, then the project itself, because the server refuses a project that still holds
anything.

Read next: repos.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.client import names
from pachlet.client.connection import Connection, Message

SERVICE = "pfs_v2.API"


def create_project(connection: Connection, name: str, *, description: str = "", update: bool = False) -> None:
    """Create a project, or change its description."""
    request = {"project": names.project(name), "description": description, "update": update}
    connection.call(SERVICE, "CreateProject", request)


def inspect_project(connection: Connection, name: str) -> Message:
    """Return a ProjectInfo."""
    return connection.call(SERVICE, "InspectProject", {"project": names.project(name)})


def list_project(connection: Connection) -> Iterator[Message]:
    """Yield a ProjectInfo for each project."""
    yield from connection.call(SERVICE, "ListProject", {})


def delete_project(connection: Connection, name: str, *, force: bool = False) -> None:
    """Delete a project with its pipelines and repos."""
    inspect_project(connection, name)  # deleting what is not there is an error, before anything else happens
    inside = {"projects": [names.project(name)], "force": force}
    connection.call("pps_v2.API", "DeletePipelines", inside)
    connection.call(SERVICE, "DeleteRepos", inside)
    connection.call(SERVICE, "DeleteProject", {"project": names.project(name), "force": force})
