"""Make the messages about pipelines out of what the database holds.

A list of hundreds takes one query for all their last jobs, and what a version's spec says as a message is made once: a
version never changes.

Read next: pps_messages.py (jobs and datums), pipeline_service.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.messages import make
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.paths import Commit
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.runs import Kind
from pachlet.pps.states import JobState, PipelineState
from pachlet.wire import schema

_MOST_WORKERS = 2**63 - 1
"""As many as the fields that count workers can hold; a spec's own field holds twice as many."""
_TYPES = {Kind.TRANSFORM: 1, Kind.SPOUT: 2, Kind.SERVICE: 3}


def pipeline_info(db: Statements, record: PipelineRecord, *, details: bool) -> Any:
    """Return a pps_v2.PipelineInfo."""
    last = db.first("last_jobs", pipelines=json.dumps([record.key]))
    return _with_port(db, record, _info(db, record, last, details=details))


def pipeline_infos(db: Statements, records: Collection[PipelineRecord]) -> Iterator[Any]:
    """Yield a pps_v2.PipelineInfo with details for each pipeline."""
    keys = json.dumps([each.key for each in records])
    last = {row["pipeline"]: row for row in db.all("last_jobs", pipelines=keys)}
    for each in records:
        yield _with_port(db, each, _info(db, each, last.get(each.key), details=True))


def _with_port(db: Statements, record: PipelineRecord, info: Any) -> Any:
    """Say in a service's details where it is reached."""
    if info.HasField("details") and record.kind is not Kind.TRANSFORM:
        port = db.value("get_service_port", pipeline=record.key)
        if port:
            holder = info.details if record.kind is Kind.SERVICE else info.details.spout
            holder.service.ip, holder.service.external_port = "127.0.0.1", port
    return info


def _info(db: Statements, record: PipelineRecord, last: Row | None, *, details: bool) -> Any:
    working_since = last["working_since"] if last else None
    state, reason = record.state, _reason(db, record, last)
    is_idle = last is None or JobState(last["state"]).is_terminal
    said = _details(record.spec_json)
    parallelism = min(max(1, said.parallelism_spec.constant), _MOST_WORKERS)
    if said.autoscaling and state == PipelineState.RUNNING and is_idle:
        state = PipelineState.STANDBY
    info = make(
        "pps_v2.PipelineInfo",
        pipeline=pps_messages.pipeline(record.project, record.name),
        version=record.version,
        stopped=record.is_stopped,
        spec_commit=messages.commit(Commit(record.repo.spec, record.spec_commit), "master"),
        state=schema.enum_value("pps_v2.PipelineState", f"PIPELINE_{state.upper()}"),
        reason=reason,
        last_job_state=pps_messages.job_state(JobState(last["state"])) if last else 0,
        parallelism=parallelism,
        type=_TYPES[record.kind],
        user_spec_json=record.user_spec_json,
        effective_spec_json=record.spec_json,
        metadata=read_json(record.metadata),
    )
    if details:
        info.details.CopyFrom(said)
        info.details.salt = record.salt
        info.details.reason = reason
        info.details.workers_requested = parallelism
        if state not in (PipelineState.STANDBY, PipelineState.PAUSED):
            info.details.workers_available = parallelism
        info.details.created_at.CopyFrom(messages.timestamp(record.created))
        info.details.updated_at.CopyFrom(messages.timestamp(record.updated))
        if last is not None and last["state"] in (JobState.FAILURE, JobState.UNRUNNABLE):
            info.details.recent_error = last["reason"]
        if working_since is not None:
            info.details.workers_started_at.CopyFrom(messages.timestamp(working_since))
    return info


def _reason(db: Statements, record: PipelineRecord, last: Row | None) -> str:
    """Return why a pipeline is as it is: what is stored, or why nothing of it runs although nothing is in its way."""
    is_idle = last is None or JobState(last["state"]).is_terminal
    if record.is_stopped or not is_idle:
        return record.reason
    if record.kind is Kind.SERVICE and record.state == PipelineState.RUNNING:
        if db.value("newest_serving", pipeline=record.key) is None:
            name = f"{record.name} --project {record.project}"
            return f"nothing serves: its job was stopped or deleted; `pachctl rerun pipeline {name}`"
    elif record.state == PipelineState.STARTING and not record.reason:
        if last is not None and last["state"] == JobState.UNRUNNABLE:
            return str(last["reason"])
        if last is None and record.kind is Kind.TRANSFORM and not record.spec.get("input"):
            return 'nothing ever runs: it has no input (its spec has no "input")'
    return record.reason


@lru_cache(maxsize=2048)
def _details(spec: str) -> Any:
    """Return what an effective spec says as the details of a pipeline; to be copied, not changed."""
    details = make("pps_v2.PipelineInfo.Details")
    pps_messages.parse_fields(details, read_json(spec))
    return details
