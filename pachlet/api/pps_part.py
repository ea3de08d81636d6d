"""What the parts of pps_v2.API share: the service is one, its RPCs are in a module for each kind of thing.

Read next: pps_service.py (the parts together).
"""

from __future__ import annotations

from typing import Any

from pachlet.api.names import pipeline_name
from pachlet.api.open_transactions import OpenTransactions
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument
from pachlet.pps import jobs, pipelines
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord


class PpsPart:
    """A part of pps_v2.API; one that extends this registers what it does in transactions when it is made."""

    def __init__(self, engine: Engine, clock: Clock, open_transactions: OpenTransactions) -> None:
        self.engine = engine
        self.clock = clock
        self.open_transactions = open_transactions

    def job_of(self, request: Any) -> JobRecord:
        """Return the job that a request names."""
        if not request.HasField("job"):
            raise InvalidArgument("must specify a job")
        name = pipeline_name(request.job.pipeline)
        with self.engine.database.read() as db:
            pipelines.inspect_pipeline(db, name.project, name.name)
            return jobs.inspect_job(db, name.project, name.name, request.job.id)
