"""The metadata that says of a copy what it is a copy of.

A commit's id is given by the server that makes it, so a copy has another id than its original. What was
written about it elsewhere (in papers, tickets, other systems) names the original, so that one is kept.

Read next: history.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from pachlet.client.connection import Connection, Message
from pachlet.client.metadata import Edit, edit_metadata, pick_commit, pick_repo
from pachlet.errors import Unimplemented

FROM = "pachlet/imported-from"
"""The deployment that a repo or commit was copied from."""
COMMIT = "pachlet/imported-commit"
"""The id of the commit there."""
ORIGIN = "pachlet/imported-origin"
"""What made it there, if it was not a user: AUTO. All copies are made by a user."""


def deployment_of(connection: Connection) -> str:
    """Return what tells a server from all others."""
    info = connection.call("admin_v2.API", "InspectCluster", {})
    return str(info.deployment_id or info.id)


def mark_repo(connection: Connection, repo: str, metadata: Mapping[str, str], deployment: str) -> None:
    """Keep a repo's metadata, and where it was copied from."""
    _replace(connection, {"repo": pick_repo(connection.project, repo)}, {**metadata, FROM: deployment})


def mark_commit(connection: Connection, commit: str, original: Message, deployment: str) -> None:
    """Keep a commit's metadata, and which commit it is a copy of."""
    from pachlet.wire import schema

    origin = schema.enum_name("pfs_v2.OriginKind", original.origin.kind)
    marks = {FROM: deployment, COMMIT: original.commit.id}
    if origin != "USER":
        marks[ORIGIN] = origin
    target = {"commit": pick_commit(connection.project, commit)}
    _replace(connection, target, {**original.metadata, **marks})


def _replace(connection: Connection, target: Edit, metadata: Mapping[str, str]) -> None:
    try:
        edit_metadata(connection, [{**target, "replace": {"replacement": dict(metadata)}}])
    except Unimplemented:
        raise Unimplemented(
            f"the server at {connection.address} keeps no metadata, so the original ids would be lost",
            hint="import into pachlet, or into Pachyderm 2.12 or newer",
        ) from None
