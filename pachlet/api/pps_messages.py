"""Make the messages of PPS out of what the database holds.

Specs are kept as JSON with the schema's field names, so the parts of a spec that a message repeats are parsed into it
as they stand.

Read next: pps_service.py.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from google.protobuf import json_format

from pachlet.api import messages
from pachlet.api.messages import make
from pachlet.api.names import NANOS
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Commit, Repo
from pachlet.pfs import commits
from pachlet.pps.datums import Datum
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.planning import JobInputs
from pachlet.pps.states import JobState, PipelineState
from pachlet.wire import schema

_STATS = ("download", "process", "upload")


def pipeline(project: str, name: str) -> Any:
    """Return a pps_v2.Pipeline."""
    return make("pps_v2.Pipeline", project=messages.project(project), name=name)


def job(project: str, name: str, id: str) -> Any:
    """Return a pps_v2.Job."""
    return make("pps_v2.Job", pipeline=pipeline(project, name), id=id)


def _parse_fields(message: Any, spec: dict[str, Any]) -> None:
    """Fill a message with those parts of a spec that it has fields for."""
    known = {field.name for field in message.DESCRIPTOR.fields}
    json_format.ParseDict({key: value for key, value in spec.items() if key in known}, message)


def pipeline_info(db: Statements, record: PipelineRecord, *, details: bool) -> Any:
    """Return a pps_v2.PipelineInfo."""
    last = db.first("list_jobs", pipeline=record.key, number=1)
    state = record.state
    if record.spec.get("autoscaling") and state == PipelineState.RUNNING and _is_idle(last):
        state = PipelineState.STANDBY
    info = make(
        "pps_v2.PipelineInfo",
        pipeline=pipeline(record.project, record.name),
        version=record.version,
        stopped=record.is_stopped,
        spec_commit=messages.commit(Commit(record.repo.spec, record.spec_commit), "master"),
        state=schema.enum_value("pps_v2.PipelineState", f"PIPELINE_{state.upper()}"),
        reason=record.reason,
        last_job_state=_job_state(JobState(last["state"])) if last else 0,
        parallelism=record.parallelism,
        type=1,
        user_spec_json=json.dumps(record.user_spec),
        effective_spec_json=json.dumps(record.spec),
        metadata=json.loads(db.value("metadata_of_pipeline", key=record.key) or "{}"),
    )
    if details:
        _parse_fields(info.details, record.spec)
        info.details.salt = record.salt
        info.details.reason = record.reason
        info.details.workers_requested = record.parallelism
        if state not in (PipelineState.STANDBY, PipelineState.PAUSED):
            info.details.workers_available = record.parallelism
        info.details.created_at.CopyFrom(messages.timestamp(record.created))
        info.details.updated_at.CopyFrom(messages.timestamp(record.updated))
    return info


def _is_idle(last: Row | None) -> bool:
    return last is None or JobState(last["state"]).is_terminal


def _job_state(state: JobState) -> int:
    return schema.enum_value("pps_v2.JobState", f"JOB_{state.upper()}")


def job_info(db: Statements, record: JobRecord, *, details: bool) -> Any:
    """Return a pps_v2.JobInfo."""
    owner = get_pipeline(db, record.pipeline, record.version)
    info = make(
        "pps_v2.JobInfo",
        job=job(owner.project, owner.name, record.id),
        pipeline_version=record.version,
        output_commit=messages.commit_of(commits.get_commit(db, record.output)),
        restart=record.restarts,
        data_processed=record.processed,
        data_skipped=record.skipped,
        data_total=record.total,
        data_failed=record.failed,
        data_recovered=record.recovered,
        stats=_job_stats(record) if details else make("pps_v2.ProcessStats"),
        state=_job_state(record.state),
        reason=record.reason,
        created=messages.timestamp(record.created),
        started=messages.timestamp(record.started),
        finished=messages.timestamp(record.finished),
    )
    if details:
        spec = copy.deepcopy(owner.spec)
        _set_commits(spec.get("input") or {}, record.id)
        _parse_fields(info.details, spec)
        info.details.salt = owner.salt
    return info


def _set_commits(spec: dict[str, Any], commit_set: str) -> None:
    for leaf in ("pfs", "cron"):
        if leaf in spec:
            spec[leaf]["commit"] = commit_set
    for kind in ("cross", "union", "join", "group"):
        for each in spec.get(kind, []):
            _set_commits(each, commit_set)


def _job_stats(record: JobRecord) -> Any:
    return make(
        "pps_v2.ProcessStats",
        download_time=messages.duration(record.download_time),
        process_time=messages.duration(record.process_time),
        upload_time=messages.duration(record.upload_time),
        download_bytes=record.download_bytes,
        upload_bytes=record.upload_bytes,
    )


def _stats(values: dict[str, float]) -> Any:
    times = {
        f"{each}_time": messages.duration(int(values.get(f"{each}_seconds", 0) * NANOS)) for each in _STATS
    }
    sizes = {f"{each}_bytes": int(values.get(f"{each}_bytes", 0)) for each in ("download", "upload")}
    return make("pps_v2.ProcessStats", **times, **sizes)


def datum_state(row: Row, job_id: str) -> str:
    """Return the name of a settled datum's state on the wire."""
    if row["state"] == "success" and row["made_by"] != job_id:
        return "SKIPPED"
    return str(row["state"]).upper()


def datum_info(owner: PipelineRecord, record: JobRecord, row: Row) -> Any:
    """Return the pps_v2.DatumInfo of a settled datum; its job is the one that made it."""
    facts = json.loads(row["record"])
    image = facts["image"]
    return make(
        "pps_v2.DatumInfo",
        datum=make("pps_v2.Datum", job=job(owner.project, owner.name, row["made_by"]), id=row["id"]),
        state=schema.enum_value("pps_v2.DatumState", datum_state(row, record.id)),
        stats=_stats(facts["stats"]),
        pfs_state=make(
            "pfs_v2.File",
            commit=messages.commit(Commit(owner.repo.meta, record.id), owner.spec["output_branch"]),
            path=f"/pfs/{row['id']}",
        ),
        data=[_input_file(each) for each in facts["inputs"]],
        image_id=f"{image['reference']}@{image['digest']}",
    )


def _input_file(each: dict[str, Any]) -> Any:
    repo = Repo(each["project"], each["repo"], each["type"])
    return make(
        "pfs_v2.FileInfo",
        file=make(
            "pfs_v2.File",
            commit=messages.commit(Commit(repo, each["commit"]), each["branch"]),
            path=each["path"],
        ),
        file_type=2 if each["path"].endswith("/") else 1,
        size_bytes=each["size"],
        hash=bytes.fromhex(each["hash"]),
    )


def planned_datum_info(datum: Datum, inputs: JobInputs) -> Any:
    """Return the pps_v2.DatumInfo of a datum that no job has: its state is unknown."""
    return make(
        "pps_v2.DatumInfo",
        datum=make("pps_v2.Datum", id=datum.id),
        stats=make("pps_v2.ProcessStats"),
        data=[
            make(
                "pfs_v2.FileInfo",
                file=make("pfs_v2.File", commit=messages.commit_of(inputs.commit(each.repo)), path=each.path),
                file_type=2 if each.is_dir else 1,
                size_bytes=each.size,
                hash=each.hash,
            )
            for each in datum.files
        ],
    )


def log_message(owner: PipelineRecord, row: Row) -> Any:
    """Return a pps_v2.LogMessage."""
    return make(
        "pps_v2.LogMessage",
        project_name=owner.project,
        pipeline_name=owner.name,
        job_id=row["job"],
        worker_id=row["worker"],
        datum_id=row["datum"],
        master=bool(row["is_master"]),
        user=bool(row["is_user"]),
        ts=messages.timestamp(row["time"]),
        message=row["message"],
    )
