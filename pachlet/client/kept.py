"""Say what jobs kept and ran, and what an update would: of any server as far as it can tell.

A pachlet server remembers how each job was planned, and can plan one that is not there (pachlet.v1.Datums). Of a
Pachyderm it is known after the fact which datums were skipped and, by their image, what made them.

Read next: pachlet/announcing.py (the words), datums.py.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from pachlet.announcing import announce
from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import list_datum
from pachlet.client.pipelines import Spec, with_project
from pachlet.client.watch import Outcome
from pachlet.errors import Unimplemented

SERVICE = "pachlet.v1.Datums"
_MOST_LISTED = 10_000


def foresee_job(
    connection: Connection, spec: Spec, *, update: bool = False, reprocess: bool = False
) -> Message | None:
    """Return a JobPlan of what a new or updated pipeline would do now; None if the server is not pachlet."""
    full = json.dumps(with_project(spec, connection.project))
    request = {"create_pipeline_request_json": full, "update": update, "reprocess": reprocess}
    return _ask(connection, "ForeseeJob", request)


def inspect_plan(connection: Connection, job: str) -> Message | None:
    """Return the JobPlan of a job; None if the server is not pachlet."""
    return _ask(connection, "InspectPlan", {"job": names.job(connection.project, job)})


def _ask(connection: Connection, method: str, request: dict[str, Any]) -> Message | None:
    try:
        found: Message = connection.call(SERVICE, method, request)
    except Unimplemented:
        return None
    return found


def said_of_plan(plan: Message, project: str, pipeline: str) -> list[str]:
    """Return what is to be said of a JobPlan."""
    command = f"pachctl rerun pipeline {pipeline} --reprocess --project {project}"
    return list(announce(plan.kept, plan.runs, now=plan.code, gone=plan.gone, command=command))


def said_of_job(connection: Connection, outcome: Outcome) -> list[str]:
    """Return what is to be said of a job that kept something."""
    job = f"{outcome.project}/{outcome.pipeline}@{outcome.job}"
    plan = inspect_plan(connection, job)
    if plan is not None:
        return said_of_plan(plan, outcome.project, outcome.pipeline)
    if outcome.skipped > _MOST_LISTED:
        return []
    kept = Counter(each.image_id.partition("@")[2] or each.image_id
                   for each in list_datum(connection, job, states=["SKIPPED"]))  # fmt: skip
    return list(announce(kept, {}))
