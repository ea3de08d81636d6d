"""Create, inspect, list and delete repos.

Read next: branches.py, commits.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.paths import USER

SERVICE = "pfs_v2.API"


def create_repo(connection: Connection, repo: str, *, description: str = "", update: bool = False) -> None:
    """Create a repo; with `update`, change its description if it is there already."""
    request = {"repo": names.repo(connection.project, repo), "description": description, "update": update}
    connection.call(SERVICE, "CreateRepo", request)


def inspect_repo(connection: Connection, repo: str) -> Message:
    """Return a RepoInfo."""
    return connection.call(SERVICE, "InspectRepo", {"repo": names.repo(connection.project, repo)})


def list_repo(connection: Connection, *, type: str = USER, all_projects: bool = False) -> Iterator[Message]:
    """Yield a RepoInfo for each repo of the project, or of all; an empty `type` means all types."""
    projects = [] if all_projects else [names.project(connection.project)]
    yield from connection.call(SERVICE, "ListRepo", {"type": type, "projects": projects})


def delete_repo(connection: Connection, repo: str, *, force: bool = False) -> bool:
    """Delete a repo with its branches and commits; return whether it was there."""
    request = {"repo": names.repo(connection.project, repo), "force": force}
    return bool(connection.call(SERVICE, "DeleteRepo", request).deleted)


def delete_repos(connection: Connection, *, all_projects: bool = False, force: bool = False) -> list[Message]:
    """Delete every repo of the project, or of all projects; return the names of the deleted ones."""
    request = (
        {"all": True, "force": force}
        if all_projects
        else {"projects": [names.project(connection.project)], "force": force}
    )
    return list(connection.call(SERVICE, "DeleteRepos", request).repos)
