"""pps_v2.API: pipelines, jobs, datums and logs.

Read next: pps_messages.py, pachlet/pps/pipelines.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format

from pachlet.api import messages, pps_messages
from pachlet.api.handlers import Context
from pachlet.api.job_service import JobService
from pachlet.api.names import at_most, commit_name, nanoseconds, pipeline_name, project_name
from pachlet.api.open_transactions import OpenTransactions
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument, NotFound, Refused, Unimplemented
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import DEFAULT_PROJECT
from pachlet.pfs import commits
from pachlet.pfs.transactions import Transaction
from pachlet.pps import jobs, pipelines
from pachlet.pps.datums import enumerate_datums
from pachlet.pps.engine import Engine
from pachlet.pps.inputs import CronInput, parse_input
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.planning import JobInputs, heads_of
from pachlet.spec.defaults import fill_input
from pachlet.spec.parse import parse_specs
from pachlet.spec.validate import validate_input
from pachlet.wire import schema

_NOT_SPEC = ("update", "reprocess", "dry_run", "spec_commit")


class PpsService(JobService):
    """Answers pps_v2.API."""

    def __init__(self, engine: Engine, clock: Clock, open_transactions: OpenTransactions) -> None:
        super().__init__(engine, clock, open_transactions)
        open_transactions.acts["create_pipeline"] = self._create_pipeline
        open_transactions.acts["create_pipeline_v2"] = self._create_pipeline_v2

    # Pipelines.

    def CreatePipeline(self, request: Any, context: Context) -> Any:
        if request.dry_run:
            with self.engine.transactions.start(is_dry_run=True) as txn:
                self._create_pipeline(txn, request)
        else:
            self.open_transactions.write(context, "create_pipeline", request)
        return messages.empty()

    def CreatePipelineV2(self, request: Any, context: Context) -> Any:
        user_json = request.create_pipeline_request_json
        flags = messages.make(
            "pps_v2.CreatePipelineRequest", update=request.update, reprocess=request.reprocess
        )
        whole = messages.make(
            "pps_v2.CreatePipelineTransaction", user_json=user_json, create_pipeline_request=flags
        )
        if request.dry_run:
            with self.engine.transactions.start(is_dry_run=True) as txn:
                self._create_pipeline_v2(txn, whole)
        else:
            self.open_transactions.write(context, "create_pipeline_v2", whole)
        effective = json.dumps(pipelines.plan_spec(_parse_one(user_json)))
        return messages.make(
            "pps_v2.CreatePipelineV2Response", effective_create_pipeline_request_json=effective
        )

    def _create_pipeline(self, txn: Transaction, request: Any) -> None:
        if not request.HasField("pipeline"):
            raise Refused("invalid pipeline spec: request.Pipeline cannot be nil")
        spec = _only_spec(_as_json(request))
        pipelines.create_pipeline(txn, spec, update=request.update, reprocess=request.reprocess)

    def _create_pipeline_v2(self, txn: Transaction, request: Any) -> None:
        """Create a pipeline of the JSON that the user gave; without it, of the message beside it."""
        flags = request.create_pipeline_request
        if not request.user_json:
            self._create_pipeline(txn, flags)
            return
        spec = _parse_one(request.user_json)
        pipelines.create_pipeline(txn, spec, update=flags.update, reprocess=flags.reprocess)

    def InspectPipeline(self, request: Any, context: Context) -> Any:
        name = pipeline_name(request.pipeline)
        base, steps = _split_ancestry(name.name)
        with self.engine.database.read() as db:
            record = pipelines.inspect_pipeline(db, name.project, base)
            if steps >= record.version:
                raise NotFound(
                    f'pipeline "{base}" has only {record.version} versions, not enough to find ancestor {steps}'
                )
            if steps:
                record = pipelines.get_pipeline(db, record.key, record.version - steps)
            return pps_messages.pipeline_info(db, record, details=request.details)

    def ListPipeline(self, request: Any, context: Context) -> Iterator[Any]:
        _refuse_filter(request.jqFilter)
        projects = {project_name(each) for each in request.projects}
        with self.engine.database.read() as db:
            if request.HasField("pipeline") and request.pipeline.name:
                name = pipeline_name(request.pipeline)
                one = pipelines.inspect_pipeline(db, name.project, name.name)
                versions = range(one.version, 0, -1) if request.history else [one.version]
                found = [pipelines.get_pipeline(db, one.key, version) for version in versions]
                found = found[: request.history + 1] if request.history >= 0 else found
            else:
                found = pipelines.list_pipelines(db, history=request.history)
            if request.HasField("commit_set") and request.commit_set.id:
                rows = db.all("jobs_of_set", id=request.commit_set.id)
                keys = {(row["pipeline"], row["version"]) for row in rows}
                found = [each for each in found if (each.key, each.version) in keys]
            infos = [
                pps_messages.pipeline_info(db, each, details=True)
                for each in found
                if not projects or each.project in projects
            ]
        yield from infos

    def DeletePipeline(self, request: Any, context: Context) -> Any:
        if request.all:
            self._delete_pipelines(set(), force=request.force, keep_repo=request.keep_repo)
            return messages.empty()
        name = pipeline_name(request.pipeline)
        with self.engine.transactions.start() as txn:
            is_gone = pipelines.delete_pipeline(
                txn, name.project, name.name, force=request.force, keep_repo=request.keep_repo
            )
            if not is_gone and request.must_exist:
                pipelines.inspect_pipeline(txn.db, name.project, name.name)
        return messages.empty()

    def DeletePipelines(self, request: Any, context: Context) -> Any:
        projects = {project_name(each) for each in request.projects}
        gone: list[PipelineRecord] = []
        if projects or request.all:
            gone = self._delete_pipelines(projects, force=request.force, keep_repo=request.keep_repo)
        return messages.make(
            "pps_v2.DeletePipelinesResponse",
            pipelines=[pps_messages.pipeline(each.project, each.name) for each in gone],
        )

    def _delete_pipelines(self, projects: set[str], *, force: bool, keep_repo: bool) -> list[PipelineRecord]:
        with self.engine.transactions.start() as txn:
            return pipelines.delete_pipelines(txn, projects, force=force, keep_repo=keep_repo)

    def DeleteAll(self, request: Any, context: Context) -> Any:
        self._delete_pipelines(set(), force=True, keep_repo=False)
        return messages.empty()

    # Jobs.

    def InspectJob(self, request: Any, context: Context) -> Any:
        record = self._job(request)
        if request.wait:
            record = self._wait(record, context)
        with self.engine.database.read() as db:
            return pps_messages.job_info(db, record, details=request.details)

    def _job(self, request: Any) -> JobRecord:
        if not request.HasField("job"):
            raise InvalidArgument("must specify a job")
        name = pipeline_name(request.job.pipeline)
        with self.engine.database.read() as db:
            pipelines.inspect_pipeline(db, name.project, name.name)
            return jobs.inspect_job(db, name.project, name.name, request.job.id)

    def _wait(self, record: JobRecord, context: Context) -> JobRecord:
        def look() -> JobRecord | None:
            with self.engine.database.read() as db:
                row = db.first("get_job_by_key", key=record.key)
                if row is None:
                    raise NotFound(f"job {record.id} was deleted")
                current = JobRecord.of(row)
                return current if current.state.is_terminal else None

        return self.engine.database.changes.until(look, context.is_active)

    def InspectJobSet(self, request: Any, context: Context) -> Iterator[Any]:
        id = request.job_set.id
        if not id:
            raise InvalidArgument("must specify a job set")
        with self.engine.database.read() as db:
            records = [JobRecord.of(row) for row in db.all("jobs_of_set", id=id)]
            if not records and not commits.commits_of_set(db, id):
                raise NotFound(f"no commits found for commitset {id}")
        for record in records:
            settled = self._wait(record, context) if request.wait else record
            with self.engine.database.read() as db:
                info = pps_messages.job_info(db, settled, details=request.details)
            yield info

    def ListJob(self, request: Any, context: Context) -> Iterator[Any]:
        _refuse_filter(request.jqFilter)
        projects = {project_name(each) for each in request.projects}
        with self.engine.database.read() as db:
            key = None
            if request.HasField("pipeline") and request.pipeline.name:
                name = pipeline_name(request.pipeline)
                key = pipelines.inspect_pipeline(db, name.project, name.name).key
            records = [JobRecord.of(row) for row in db.all("list_jobs", pipeline=key, number=-1)]
            chosen = _page(self._select_jobs(db, records, request, projects), request)
            infos = [pps_messages.job_info(db, each, details=request.details) for each in chosen]
        yield from infos

    def _select_jobs(
        self, db: Statements, records: list[JobRecord], request: Any, projects: set[str]
    ) -> Iterator[JobRecord]:
        sets = [self._sets_below(db, each) for each in request.input_commit if each.id]
        for record in records:
            owner = pipelines.get_pipeline(db, record.pipeline)
            if projects and owner.project not in projects:
                continue
            is_old = request.history >= 0 and record.version < owner.version - request.history
            if is_old and request.HasField("pipeline") and not sets:
                continue
            if all(record.id in each for each in sets):
                yield record

    def _sets_below(self, db: Statements, message: Any) -> set[str]:
        """Return the ids of the commit sets that hold a commit downstream of the one that a message names."""

        todo = [commit_name(message).resolve(db)]
        found: set[str] = set()
        seen = {todo[0].key}
        while todo:
            record = todo.pop()
            found.add(record.commit.id)
            for each in commits.downstream(db, record.key):
                if each.key not in seen:
                    seen.add(each.key)
                    todo.append(each)
        return found

    def ListJobSet(self, request: Any, context: Context) -> Iterator[Any]:
        _refuse_filter(request.jqFilter)
        projects = {project_name(each) for each in request.projects}
        infos, number = [], at_most(request.number)
        with self.engine.database.read() as db:
            for row in db.all("list_job_sets", number=-1):
                records = [JobRecord.of(each) for each in db.all("jobs_of_set", id=row["id"])]
                owners = {pipelines.get_pipeline(db, each.pipeline).project for each in records}
                if projects and not owners & projects:
                    continue
                infos.append(
                    messages.make(
                        "pps_v2.JobSetInfo",
                        job_set=messages.make("pps_v2.JobSet", id=row["id"]),
                        jobs=[pps_messages.job_info(db, each, details=request.details) for each in records],
                    )
                )
                if number and not request.reverse and len(infos) >= number:
                    break
        if request.reverse:
            infos = infos[::-1][:number]
        yield from infos

    def SubscribeJob(self, request: Any, context: Context) -> Iterator[Any]:
        name = pipeline_name(request.pipeline)
        with self.engine.database.read() as db:
            key = pipelines.inspect_pipeline(db, name.project, name.name).key
        above = 0
        is_first = True

        def look() -> list[JobRecord] | None:
            with self.engine.database.read() as db:
                if db.first("get_pipeline_by_key", key=key) is None:
                    raise NotFound(f"pipeline {name.project}/{name.name} was deleted")
                found = [JobRecord.of(row) for row in db.all("jobs_after", pipeline=key, above=above)]
                return found or None

        while True:
            for record in self.engine.database.changes.until(look, context.is_active):
                above = record.key
                if is_first and record.state.is_terminal:
                    continue
                with self.engine.database.read() as db:
                    info = pps_messages.job_info(db, record, details=request.details)
                yield info
            is_first = False

    # Datums.

    def InspectDatum(self, request: Any, context: Context) -> Any:
        if not request.HasField("datum") or not request.datum.id:
            raise InvalidArgument("must specify a datum")
        if not request.datum.HasField("job"):
            raise InvalidArgument("must specify a job")
        record = self._job(request.datum)
        with self.engine.database.read() as db:
            owner = pipelines.get_pipeline(db, record.pipeline, record.version)
            row = db.first("get_datum", job=record.key, id=request.datum.id)
            if row is None:
                raise NotFound(
                    f"datum {request.datum.id} not found in job {record.id}",
                    hint=f"pachctl list datum {owner.name}@{record.id}",
                )
            return pps_messages.datum_info(owner, record, row)

    def ListDatum(self, request: Any, context: Context) -> Iterator[Any]:
        if request.HasField("job") and request.HasField("input"):
            raise InvalidArgument("cannot specify both job and input")
        if request.reverse and request.number <= 0:
            raise InvalidArgument("number must be > 0 when reverse is set")
        if request.HasField("input"):
            yield from self._list_planned(request)
            return
        record = self._job(request)
        number, states = at_most(request.number), set(request.filter.state)
        with self.engine.database.read() as db:
            owner = pipelines.get_pipeline(db, record.pipeline, record.version)
            rows = sorted(
                db.all("list_datums", job=record.key), key=lambda row: row["id"], reverse=request.reverse
            )
            marker = request.paginationMarker
            rows = [
                row
                for row in rows
                if (not states or _datum_state(row, record) in states)
                and (not marker or (row["id"] < marker if request.reverse else row["id"] > marker))
            ]
            infos = [pps_messages.datum_info(owner, record, row) for row in itertools.islice(rows, number)]
        yield from infos

    def _list_planned(self, request: Any) -> Iterator[Any]:
        """Yield the datums that an input would make now, without any job."""
        spec = _as_json(request.input)
        fill_input(spec, {})
        validate_input(spec)
        tree = parse_input(spec, DEFAULT_PROJECT)
        if any(isinstance(leaf, CronInput) for leaf in tree.visit()):
            raise Refused(
                "can't list datums with a cron input, there will be no datums until the pipeline is created"
            )
        with self.engine.database.read() as db:
            inputs = JobInputs(self.engine.files, heads_of(db, tree))
        for datum in itertools.islice(enumerate_datums(tree, inputs.match), at_most(request.number)):
            yield pps_messages.planned_datum_info(datum, inputs)


def _datum_state(row: Row, record: JobRecord) -> int:
    return schema.enum_value("pps_v2.DatumState", pps_messages.datum_state(row, record.id))


def _as_json(message: Any) -> dict[str, Any]:
    """Return a spec, or a part of one, as JSON with the schema's field names."""
    try:
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (json_format.Error, ValueError) as error:  # a duration or time that no one can write down
        raise InvalidArgument(f"could not make effective spec: {error}") from None
    return found


def _parse_one(text: str) -> dict[str, Any]:
    specs = parse_specs(text, "request.json")
    if len(specs) != 1:
        raise InvalidArgument(f"could not make effective spec: found {len(specs)} specs, wanted one")
    return _only_spec(specs[0].json)


def _only_spec(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a request what is no part of the spec."""
    return {key: value for key, value in found.items() if key not in _NOT_SPEC}


def _split_ancestry(name: str) -> tuple[str, int]:
    """Split `edges^2` or `edges~` into the name and how many versions to go back."""
    base = name.rstrip("0123456789").rstrip("^~") if "^" in name or "~" in name else name
    steps = name[len(base) :]
    if not steps:
        return name, 0
    digits = steps.lstrip("^~")
    return base, int(digits) if digits else len(steps)


def _page(records: Iterator[JobRecord], request: Any) -> list[JobRecord]:
    """Apply paginationMarker (a time, exclusive), number and reverse to jobs that come newest first."""
    found = list(records)
    if request.reverse:
        found.reverse()
    if request.HasField("paginationMarker"):
        mark = nanoseconds(request.paginationMarker)
        found = [each for each in found if (each.created > mark if request.reverse else each.created < mark)]
    return found[: at_most(request.number)]


def _refuse_filter(text: str) -> None:
    if text:
        raise Unimplemented("jqFilter is not implemented by pachlet", hint="use -o json and filter with jq")
