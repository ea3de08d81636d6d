"""Create, inspect, list and delete branches.

A branch points at a commit and may have provenance: then each new commit on the provenance makes one here.
Creating a branch that exists replaces its provenance, as upstream does.

Read next: commits.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message

SERVICE = "pfs_v2.API"


def create_branch(
    connection: Connection,
    branch: str,
    *,
    head: str = "",
    provenance: Sequence[str] = (),
    trigger: Mapping[str, Any] | None = None,
) -> None:
    """Create a branch, move its head, or replace its provenance.

    `head` is a commit (`repo@id`) or, for short, an id or branch of the same repo.
    """
    named = names.branch(connection.project, branch)
    request: dict[str, Any] = {
        "branch": named,
        "provenance": [names.branch(connection.project, upstream) for upstream in provenance],
    }
    if head:
        full = head if "@" in head else f"{branch.partition('@')[0]}@{head}"
        request["head"] = names.commit(connection.project, full)
    if trigger:
        request["trigger"] = dict(trigger)
    connection.call(SERVICE, "CreateBranch", request)


def inspect_branch(connection: Connection, branch: str) -> Message:
    """Return a BranchInfo."""
    return connection.call(SERVICE, "InspectBranch", {"branch": names.branch(connection.project, branch)})


def list_branch(connection: Connection, repo: str, *, reverse: bool = False) -> Iterator[Message]:
    """Yield a BranchInfo for each branch of a repo, newest first."""
    request = {"repo": names.repo(connection.project, repo), "reverse": reverse}
    yield from connection.call(SERVICE, "ListBranch", request)


def delete_branch(connection: Connection, branch: str, *, force: bool = False) -> None:
    """Delete a branch; its commits stay."""
    request = {"branch": names.branch(connection.project, branch), "force": force}
    connection.call(SERVICE, "DeleteBranch", request)
