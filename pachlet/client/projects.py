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
from pachlet.errors import Unimplemented
from pachlet.paths import USER

SERVICE = "pfs_v2.API"


def create_project(connection: Connection, name: str, *, description: str = "", update: bool = False) -> None:
    """Create a project, or change its description."""
    request = {"project": names.project(name), "description": description, "update": update}
    connection.call(SERVICE, "CreateProject", request)


def inspect_project(connection: Connection, name: str) -> Message:
    """Return a ProjectInfo."""
    return connection.call(SERVICE, "InspectProject", {"project": names.project(name)})


def inspect_project_with_defaults(connection: Connection, name: str) -> tuple[Message, str]:
    """Return a ProjectInfo and, from servers since 2.10, the JSON of the project's defaults of pipelines."""
    try:
        answer = connection.call(SERVICE, "InspectProjectV2", {"project": names.project(name)})
    except Unimplemented:
        return inspect_project(connection, name), ""
    return answer.info, answer.defaults_json


def contents(connection: Connection, name: str) -> tuple[list[str], list[str]]:
    """Return the names of a project's pipelines, and of its repos that are no pipeline's output."""
    inspect_project(connection, name)
    inside = {"projects": [names.project(name)]}
    pipelines = [
        names.show_pipeline(info.pipeline) for info in connection.call("pps_v2.API", "ListPipeline", inside)
    ]
    repos = connection.call(SERVICE, "ListRepo", {**inside, "type": USER})
    shown = [names.show_repo(info.repo) for info in repos]
    return pipelines, [repo for repo in shown if repo not in pipelines]


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
