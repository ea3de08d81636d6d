"""Inspect and list datums, of a job or of a spec that has not run.

Read next: lineage/ (from a file to the datum that made it), pachlet/pps/datums.py (where datums come
from).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.get_file import get_bytes
from pachlet.client.pipelines import Spec, as_message, with_project
from pachlet.errors import PachletError

SERVICE = "pps_v2.API"


def inspect_datum(connection: Connection, job: str, datum: str) -> Message:
    """Return a DatumInfo."""
    return connection.call(
        SERVICE, "InspectDatum", {"datum": {"job": names.job(connection.project, job), "id": datum}}
    )


def datum_record(connection: Connection, info: Message) -> dict[str, Any]:
    """Return what a pachlet server recorded of a datum when it ran (docs/provenance.md), or nothing.

    A cluster's records are of another form, and the commit that has it may be squashed.
    """
    place = info.pfs_state
    if not place.commit.id:
        return {}
    record = names.show_file(place).rpartition(":")[0] + f":/meta/{info.datum.id}/meta"
    try:
        found = json.loads(get_bytes(connection, record))
    except (PachletError, ValueError):
        return {}
    is_ours = isinstance(found, dict) and isinstance(found.get("image"), dict) and "spec_commit" in found
    return found if is_ours else {}


def list_datum(connection: Connection, job: str, *, states: Sequence[str] = ()) -> Iterator[Message]:
    """Yield a DatumInfo for each datum of a job, also while it runs; `states` narrow it down."""
    request: dict[str, Any] = {"job": names.job(connection.project, job)}
    if states:
        request["filter"] = {"state": list(states)}
    yield from connection.call(SERVICE, "ListDatum", request)


def list_datum_of_spec(connection: Connection, spec: Spec) -> Iterator[Message]:
    """Yield a DatumInfo for each datum that a spec's input would give now; nothing runs."""
    message = as_message(with_project(spec, connection.project))
    _fill_projects(message.input, message.pipeline.project.name)
    yield from connection.call(SERVICE, "ListDatum", {"input": message.input})


def restart_datum(connection: Connection, job: str, paths: Sequence[str]) -> None:
    """Start the running datum with these files again."""
    request = {"job": names.job(connection.project, job), "data_filters": list(paths)}
    connection.call(SERVICE, "RestartDatum", request)


def _fill_projects(part: Message, project: str) -> None:
    """Name the project of each pfs input that does not; no pipeline tells the server which is meant."""
    if part.HasField("pfs") and not part.pfs.project:
        part.pfs.project = project
    for kind in (part.cross, part.union, part.join, part.group):
        for inner in kind:
            _fill_projects(inner, project)
