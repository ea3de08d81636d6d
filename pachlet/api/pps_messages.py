"""Make the messages about jobs, datums and logs out of what the database holds.

Specs are kept as JSON with the schema's field names, so the parts of a spec that a message repeats are parsed into it
as they stand.

Read next: pipeline_messages.py, pps_service.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from google.protobuf import json_format

from pachlet.api import messages
from pachlet.api.messages import make
from pachlet.api.names import NANOS
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.paths import Commit, Repo
from pachlet.pps.datum import Datum
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.states import JobState
from pachlet.spec.defaults import COMBINED
from pachlet.wire import schema

_STATS = ("download", "process", "upload")


def pipeline(project: str, name: str) -> Any:
    """Return a pps_v2.Pipeline."""
    return make("pps_v2.Pipeline", project=messages.project(project), name=name)


def job(project: str, name: str, id: str) -> Any:
    """Return a pps_v2.Job."""
    return make("pps_v2.Job", pipeline=pipeline(project, name), id=id)


def parse_fields(message: Any, spec: dict[str, Any]) -> None:
    """Fill a message with those parts of a spec that it has fields for."""
    known = {field.name for field in message.DESCRIPTOR.fields}
    json_format.ParseDict({key: value for key, value in spec.items() if key in known}, message)


@cache
def job_state(state: JobState) -> int:
    """Return the number of a job's state on the wire."""
    return schema.enum_value("pps_v2.JobState", f"JOB_{state.upper()}")


class Owners:
    """The pipelines that jobs of a listing are of, each read once, in the snapshot `db` of the moment."""

    def __init__(self, db: Statements) -> None:
        self.db = db
        self._found: dict[tuple[int, int], PipelineRecord] = {}
        self._versions: dict[int, int] = {}

    def of(self, record: JobRecord) -> PipelineRecord:
        """Return the pipeline of a job, in the job's version."""
        key = record.pipeline, record.version
        if key not in self._found:
            self._found[key] = get_pipeline(self.db, *key)
        return self._found[key]

    def current_version(self, record: JobRecord) -> int:
        """Return the version that a job's pipeline is at; -1 if it was deleted meanwhile."""
        key = record.pipeline
        if key not in self._versions:
            row = self.db.first("get_pipeline_by_key", key=key)
            self._versions[key] = row["version"] if row else -1
        return self._versions[key]


def job_info(db: Statements, record: JobRecord, *, details: bool) -> Any:
    """Return a pps_v2.JobInfo."""
    return job_info_of(Owners(db).of(record), record, details=details)


def job_info_of(owner: PipelineRecord, record: JobRecord, *, details: bool) -> Any:
    """Return the pps_v2.JobInfo of a job whose pipeline is known."""
    info = make("pps_v2.JobInfo")
    info.CopyFrom(
        _job_of_version(owner.project, owner.name, owner.version, owner.spec_json, owner.salt, details)
    )
    info.job.id = info.output_commit.id = record.id
    info.restart, info.reason, info.state = record.restarts, record.reason, job_state(record.state)
    info.data_processed, info.data_skipped, info.data_total = record.processed, record.skipped, record.total
    info.data_failed, info.data_recovered = record.failed, record.recovered
    stats = info.stats
    stats.download_bytes, stats.upload_bytes = record.download_bytes, record.upload_bytes
    for time, took in (
        (stats.download_time, record.download_time),
        (stats.process_time, record.process_time),
        (stats.upload_time, record.upload_time),
    ):
        time.seconds, time.nanos = divmod(took, NANOS)
    for name in ("created", "started", "finished"):
        if (at := getattr(record, name)) is not None:
            stamp = getattr(info, name)
            stamp.seconds, stamp.nanos = divmod(at, NANOS)
            stamp.SetInParent()
    if details and info.details.HasField("input"):
        _set_commits(info.details.input, record.id)
    return info


@lru_cache(maxsize=2048)
def _job_of_version(project: str, name: str, version: int, spec: str, salt: str, details: bool) -> Any:
    """Return what all jobs of a pipeline's version have in common, as a pps_v2.JobInfo; to be copied, not changed.

    A listing has hundreds of them, and to copy one takes a fraction of what it takes to make it.
    """
    effective, nothing = read_json(spec), messages.duration(0)
    info = make(
        "pps_v2.JobInfo",
        job=job(project, name, ""),
        pipeline_version=version,
        output_commit=messages.commit(Commit(Repo(project, name), ""), effective["output_branch"]),
        stats=make("pps_v2.ProcessStats", download_time=nothing, process_time=nothing, upload_time=nothing),
    )
    if details:
        parse_fields(info.details, effective)
        info.details.salt = salt
        info.details.SetInParent()
    return info


def _set_commits(tree: Any, commit_set: str) -> None:
    """Write into each leaf of a pps_v2.Input the commit set that a job reads it from."""
    for leaf in ("pfs", "cron"):
        if tree.HasField(leaf):
            getattr(tree, leaf).commit = commit_set
    for kind in COMBINED:
        for each in getattr(tree, kind):
            _set_commits(each, commit_set)


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
    facts = read_json(row["record"])
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


def log_message(owner: PipelineRecord, row: Row, data: Sequence[Any] = ()) -> Any:
    """Return a pps_v2.LogMessage; `data` is what its datum read, as pps_v2.InputFiles."""
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
        data=data,
    )
