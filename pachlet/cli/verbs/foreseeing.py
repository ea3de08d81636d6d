"""Say what creating or updating a pipeline would do with its datums; the end of `--dry-run`, no verb of its own.

Read next: pipeline.py, pachlet/client/kept.py.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from pachlet.cli.output import as_plain, show_value
from pachlet.cli.session import Session
from pachlet.client import kept, pipelines
from pachlet.client.pipelines import Spec


def foresee(session: Session, arguments: Namespace, spec: Spec, *, update: bool, reprocess: bool) -> None:
    """Show the effective spec, and say what its job would do; change nothing."""
    connection = session.connection
    plan = kept.foresee_job(connection, spec, update=update, reprocess=reprocess)
    if plan is not None:
        effective = plan.effective_create_pipeline_request_json
        plan.ClearField("effective_create_pipeline_request_json")
    else:
        effective = pipelines.create_pipeline(
            connection, spec, update=update, reprocess=reprocess, dry_run=True
        )
    shown: Any = json.loads(effective) if effective else None
    if arguments.output and plan is not None:
        show_value(session, arguments.output, {"spec": shown, "datums": as_plain(plan)})
        return
    if shown is not None:
        show_value(session, arguments.output or "json", shown)
    for line in _said(session, spec, plan):
        session.say(line)


def foreseen(session: Session, spec: Spec, *, update: bool, reprocess: bool) -> list[str]:
    """Return what is to be said before an update; nothing if the server is not pachlet."""
    if session.connection.transaction:
        return []  # what else is in it makes a difference, and is not there yet
    plan = kept.foresee_job(session.connection, spec, update=update, reprocess=reprocess)
    return _said(session, spec, plan) if plan is not None else []


def _said(session: Session, spec: Spec, plan: Any) -> list[str]:
    if plan is None:
        return [f"{session.connection.address} is not a pachlet server: it can't tell which datums would run"]
    pipeline = pipelines.with_project(spec, session.connection.project)["pipeline"]
    lines = kept.said_of_plan(plan, pipeline["project"]["name"], pipeline["name"])
    if plan.note:
        lines.append(f"the code can't be had: {plan.note}")
    return lines
