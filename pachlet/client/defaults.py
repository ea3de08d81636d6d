"""Get and set what all specs share: the defaults of the cluster and those of a project.

Both are a JSON object, {"createPipelineRequest": {...}}, over which each spec is laid.

Read next: pachlet/spec/defaults.py (how layers merge), pipelines.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message

SERVICE = "pps_v2.API"

NONE = "{}"
"""The text of defaults that say nothing."""


def get_defaults(connection: Connection, project: str = "") -> str:
    """Return the defaults of a project, or without one those of the cluster, as a JSON text."""
    if project:
        answer = connection.call(SERVICE, "GetProjectDefaults", {"project": names.project(project)})
        return str(answer.project_defaults_json)
    return str(connection.call(SERVICE, "GetClusterDefaults", {}).cluster_defaults_json)


def set_defaults(
    connection: Connection,
    text: str,
    project: str = "",
    *,
    regenerate: bool = False,
    reprocess: bool = False,
    dry_run: bool = False,
) -> list[Message]:
    """Set defaults; return the pipelines (names) that they change, which `regenerate` updates."""
    request: dict[str, Any] = {"regenerate": regenerate, "reprocess": reprocess, "dry_run": dry_run}
    if project:
        request |= {"project": names.project(project), "project_defaults_json": text}
        return list(connection.call(SERVICE, "SetProjectDefaults", request).affected_pipelines)
    request["cluster_defaults_json"] = text
    return list(connection.call(SERVICE, "SetClusterDefaults", request).affected_pipelines)
