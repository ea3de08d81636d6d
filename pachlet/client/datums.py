"""Inspect and list datums, of a job or of a spec that has not run.

Read next: provenance.py (from a file to the datum that made it), pachlet/pps/datums.py (where datums come
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


def peak_memory(connection: Connection, info: Message) -> int | None:
    """Return how many bytes of memory a datum used at its peak; None where the server keeps no such record."""
    place = info.pfs_state
    if not place.commit.id:
        return None
    record = names.show_file(place).rpartition(":")[0] + f":/meta/{info.datum.id}/meta"
    try:
        found = json.loads(get_bytes(connection, record)).get("stats", {}).get("peak_memory")
    except (PachletError, ValueError, AttributeError):
        return None  # the commit may be squashed, and a cluster's records are of another form
    return found if isinstance(found, int) else None


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
