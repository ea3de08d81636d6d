"""pachlet.v1.Datums: which datums a job keeps and which it runs.

Read next: wire/proto/pachlet/v1/datums.proto, pachlet/pps/foreseeing.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.names import pipeline_name
from pachlet.api.specs import parse_one
from pachlet.errors import InvalidArgument
from pachlet.metadb.stored_json import read_json
from pachlet.pps import jobs, pipelines
from pachlet.pps.engine import Engine
from pachlet.pps.foreseeing import foresee


class PlanningService:
    """Answers pachlet.v1.Datums."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ForeseeJob(self, request: Any, context: Context) -> Any:
        spec = parse_one(request.create_pipeline_request_json)
        found = foresee(self._engine, spec, update=request.update, reprocess=request.reprocess)
        effective = json.dumps(found.pipeline.spec)
        return _plan(found.plan.facts(), note=found.note, effective_create_pipeline_request_json=effective)

    def InspectPlan(self, request: Any, context: Context) -> Any:
        if not request.HasField("job"):
            raise InvalidArgument("must specify a job")
        name = pipeline_name(request.job.pipeline)
        with self._engine.database.read() as db:
            pipelines.inspect_pipeline(db, name.project, name.name)
            job = jobs.inspect_job(db, name.project, name.name, request.job.id)
        return _plan(read_json(job.plan)) if job.plan else messages.make("pachlet.v1.JobPlan")


def _plan(facts: Mapping[str, Any], **more: str) -> Any:
    return messages.make("pachlet.v1.JobPlan", is_planned=True, **facts, **more)
