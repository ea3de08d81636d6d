"""Render templates: specs written in jsonnet, with arguments.

The server does it, as upstream, so that no client needs a jsonnet of its own.

Read next: pipelines.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from pachlet.client.connection import Connection


def render_template(connection: Connection, template: str, arguments: Mapping[str, str]) -> str:
    """Return what a template gives, as a JSON text: one spec or several."""
    request = {"template": template, "args": dict(arguments)}
    return str(connection.call("pps_v2.API", "RenderTemplate", request).json)
