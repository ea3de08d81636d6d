"""The part of pps_v2.API about pipelines: made, changed, looked at, deleted.

Read next: pps_messages.py, pachlet/pps/pipelines.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.handlers import Context
from pachlet.api.message_filter import refuse_filter
from pachlet.api.names import PipelineName, pipeline_name, project_name
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pps_part import PpsPart
from pachlet.api.specs import as_json, only_spec, parse_one
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument, NotFound, Refused
from pachlet.pfs.transactions import Transaction
from pachlet.pps import pipelines, secrets, stopping
from pachlet.pps.engine import Engine
from pachlet.pps.pipelines import PipelineRecord


class PipelineService(PpsPart):
    """Answers the RPCs of pps_v2.API about pipelines."""

    def __init__(self, engine: Engine, clock: Clock, open_transactions: OpenTransactions) -> None:
        super().__init__(engine, clock, open_transactions)
        open_transactions.acts["create_pipeline"] = self._create_pipeline
        open_transactions.acts["create_pipeline_v2"] = self._create_pipeline_v2

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
        with self.engine.database.read() as db:
            effective = json.dumps(pipelines.plan_spec(db, parse_one(user_json)))
        return messages.make(
            "pps_v2.CreatePipelineV2Response", effective_create_pipeline_request_json=effective
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
        refuse_filter(request.jqFilter)
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

    def StartPipeline(self, request: Any, context: Context) -> Any:
        name = self._named(request)
        with self.engine.transactions.start() as txn:
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


def _split_ancestry(name: str) -> tuple[str, int]:
    """Split `edges^2` or `edges~` into the name and how many versions to go back."""
    base = name.rstrip("0123456789").rstrip("^~") if "^" in name or "~" in name else name
    steps = name[len(base) :]
    if not steps:
        return name, 0
    digits = steps.lstrip("^~")
    return base, int(digits) if digits else len(steps)
