"""The part of pps_v2.API about pipelines: made, changed, looked at, deleted.

Read next: pipeline_messages.py, pachlet/pps/pipelines.py.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.callers import mark_of
from pachlet.api.handlers import Context
from pachlet.api.lacking import lacking
from pachlet.api.message_filter import open_filter
from pachlet.api.names import PipelineName, pipeline_name, project_name
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pipeline_messages import pipeline_info, pipeline_infos
from pachlet.api.pps_part import PpsPart
from pachlet.api.specs import as_json, only_spec, parse_one
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument, NotFound, Refused
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs.transactions import Transaction
from pachlet.pps import pipelines, secrets, stopping
from pachlet.pps.engine import Engine
from pachlet.pps.obstacles import foresee_trouble
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.states import JobState
from pachlet.spec.unheeded import unheeded_fields, warning_of

_NOT_IN_A_SPEC = (
    "the S3 gateway (s3_out, an input's s3)",
    "egress to Snowflake",
    "egress of a service or a spout",
)
WARNING_KEY = "pachlet-warning-bin"
"""The trailing metadata in which warnings go with an answer, a line each, as a hint does with an error."""


class PipelineService(PpsPart):
    """Answers the RPCs of pps_v2.API about pipelines."""

    def __init__(self, engine: Engine, clock: Clock, open_transactions: OpenTransactions) -> None:
        super().__init__(engine, clock, open_transactions)
        open_transactions.acts["create_pipeline"] = self._create_pipeline
        open_transactions.acts["create_pipeline_v2"] = self._create_pipeline_v2

    @lacking(*_NOT_IN_A_SPEC)
    def CreatePipeline(self, request: Any, context: Context) -> Any:
        if request.dry_run:
            with self.engine.transactions.start(is_dry_run=True) as txn:
                self._create_pipeline(txn, request)
        else:
            self.open_transactions.write(context, "create_pipeline", request)
        with self.engine.database.read() as db:
            self._warn(db, context, pipelines.plan_spec(db, only_spec(as_json(request))))
        return messages.empty()

    @lacking(*_NOT_IN_A_SPEC)
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
        with self.engine.database.read() as db:
            spec = pipelines.plan_spec(db, parse_one(user_json))
            self._warn(db, context, spec)
        return messages.make(
            "pps_v2.CreatePipelineV2Response", effective_create_pipeline_request_json=json.dumps(spec)
        )

    def _create_pipeline(self, txn: Transaction, request: Any) -> None:
        if not request.HasField("pipeline"):
            raise Refused("invalid pipeline spec: request.Pipeline cannot be nil")
        spec = only_spec(as_json(request))
        pipelines.create_pipeline(txn, spec, update=request.update, reprocess=request.reprocess)

    def _create_pipeline_v2(self, txn: Transaction, request: Any) -> None:
        """Create a pipeline of the JSON that the user gave; without it, of the message beside it."""
        flags = request.create_pipeline_request
        if not request.user_json:
            self._create_pipeline(txn, flags)
            return
        spec = parse_one(request.user_json)
        pipelines.create_pipeline(txn, spec, update=flags.update, reprocess=flags.reprocess)

    def _warn(self, db: Statements, context: Context, spec: Mapping[str, Any]) -> None:
        """Send with the answer what is to be said of an effective spec; clients that do not look for it see nothing.

        It is what makes no difference here, why nothing will run, and what runs instead of the image.
        """
        lines = [warning_of(names)] if (names := unheeded_fields(spec)) else []
        if said := foresee_trouble(db, self.engine, spec):
            lines.append(said)
        if lines:
            context.set_trailing_metadata(((WARNING_KEY, "\n".join(lines).encode()),))

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
            return pipeline_info(db, record, details=request.details)

    def ListPipeline(self, request: Any, context: Context) -> Iterator[Any]:
        projects = {project_name(each) for each in request.projects}
        size, index = request.page.page_size, request.page.page_index
        if size < 0 or index < 0:
            raise InvalidArgument("page size and index cannot be negative")
        with open_filter(request.jqFilter) as keeps, self.engine.database.read() as db:
            if request.jqFilter:
                chosen = (each for each in pipeline_infos(db, _wanted(db, request, projects)) if keeps(each))
                infos = list(itertools.islice(chosen, size * index, size * (index + 1) or None))
            else:
                infos = list(pipeline_infos(db, _wanted(db, request, projects, size * index, size or None)))
            if request.commit_set.id:
                for each in infos:
                    each.last_job_state = _last_job_state(db, each)
        yield from infos

    def StartPipeline(self, request: Any, context: Context) -> Any:
        name = self._named(request)
        with self.engine.transactions.start() as txn:
            txn.mark = mark_of(context)
            stopping.start_pipeline(txn, name.project, name.name)
        return messages.empty()

    def StopPipeline(self, request: Any, context: Context) -> Any:
        name = self._named(request)
        with self.engine.transactions.start() as txn:
            stopping.stop_pipeline(txn, name.project, name.name, must_exist=request.must_exist)
        return messages.empty()

    def RerunPipeline(self, request: Any, context: Context) -> Any:
        name = self._named(request)
        with self.engine.transactions.start() as txn:
            txn.mark = mark_of(context)
            stopping.rerun_pipeline(txn, name.project, name.name, reprocess=request.reprocess)
        return messages.empty()

    def _named(self, request: Any) -> PipelineName:
        if not request.HasField("pipeline"):
            raise InvalidArgument("request.Pipeline cannot be nil")
        return pipeline_name(request.pipeline)

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
        with self.engine.transactions.start() as txn:
            pipelines.delete_pipelines(txn, set(), force=True)
            secrets.delete_secrets(txn.db)
        return messages.empty()


def _wanted(
    db: Statements, request: Any, projects: set[str], first: int = 0, number: int | None = None
) -> list[PipelineRecord]:
    """Return `number` of the pipelines that a ListPipelineRequest names, or all, newest first and from `first` on."""
    key = None
    if request.pipeline.name:
        name = pipeline_name(request.pipeline)
        key = pipelines.inspect_pipeline(db, name.project, name.name).key
    if request.commit_set.id:
        found = [
            each
            for each in pipelines.pipelines_of_set(db, request.commit_set.id)
            if key in (None, each.key) and (not projects or each.project in projects)
        ]
        return found[first:][:number]
    return pipelines.list_pipelines(
        db, key, request.history, projects=projects, first=first, number=-1 if number is None else number
    )


def _last_job_state(db: Statements, info: Any) -> int:
    """Return the state of the newest job that a pipeline had in a version."""
    record = pipelines.inspect_pipeline(db, info.pipeline.project.name, info.pipeline.name)
    state = db.value("last_job_of_version", pipeline=record.key, version=info.version)
    return pps_messages.job_state(JobState(state)) if state else 0


def _split_ancestry(name: str) -> tuple[str, int]:
    """Split `edges^2` or `edges~` into the name and how many versions to go back."""
    if re.fullmatch(r".*\.[0-9]+", name):
        raise Refused("cannot inspect future pipelines", hint="`edges^` is the version before the last")
    base = name.rstrip("0123456789").rstrip("^~") if "^" in name or "~" in name else name
    steps = name[len(base) :]
    if not steps:
        return name, 0
    digits = steps.lstrip("^~")
    return base, int(digits) if digits else len(steps)
