"""GetLogs of pps_v2.API: stored lines first, then live ones, without a seam between them.

Read next: pachlet/pps/logbook.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pachlet.api import pps_messages
from pachlet.api.handlers import Context
from pachlet.api.names import NANOS, at_most, nanoseconds, pipeline_name
from pachlet.api.pps_part import PpsPart
from pachlet.errors import InvalidArgument, NotFound, Refused, Unimplemented
from pachlet.metadb.changes import Closed
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pps import jobs, pipelines

_PAGE = 1000
_SINCE = 24 * 3600 * NANOS


@dataclass(frozen=True)
class Query:
    """Which lines are wanted."""

    pipeline: int
    job: str
    datum: str
    is_master: int | None
    since: int

    def values(self) -> dict[str, Any]:
        """Return the values of the statements that read logs."""
        return {
            "pipeline": self.pipeline,
            "job": self.job,
            "datum": self.datum,
            "is_master": self.is_master,
            "since": self.since,
        }


class LogService(PpsPart):
    """Answers GetLogs."""

    def GetLogs(self, request: Any, context: Context) -> Iterator[Any]:
        if request.data_filters:
            raise Unimplemented(
                "GetLogs with data_filters is not implemented by pachlet", hint="name a datum"
            )
        self.engine.logbook.flush()
        with self.engine.database.read() as db:
            query = self._query(db, request)
            owner = pipelines.get_pipeline(db, query.pipeline)
            above = 0
            if at_most(request.tail):
                above = db.value("tail_logs", number=request.tail, **query.values()) or 0
        while True:
            changes = self.engine.database.changes
            seen, is_over = changes.count, not request.follow or self._is_over(query)
            with self.engine.database.read() as db:
                rows = db.all("read_logs", above=above, number=_PAGE, **query.values())
            for row in rows:
                above = row["key"]
                yield pps_messages.log_message(owner, row)
            if not rows:
                if is_over:
                    return
                if not context.is_active():
                    raise Closed
                changes.wait(seen, timeout=1.0)

    def _is_over(self, query: Query) -> bool:
        """Tell whether the job that is followed has ended; a pipeline never ends."""
        if not query.job:
            return False
        with self.engine.database.read() as db:
            row = db.first("get_job", pipeline=query.pipeline, id=query.job)
            return row is None or jobs.JobRecord.of(row).state.is_terminal

    def _query(self, db: Statements, request: Any) -> Query:
        """Find out whose lines are meant: a datum's, a job's or a pipeline's."""
        job = request.datum.job if request.HasField("datum") and request.datum.id else request.job
        named = job.pipeline if job.id else request.pipeline
        if request.datum.id and not job.id and not request.pipeline.name:
            raise InvalidArgument(
                "must specify the Job or Pipeline that the datum is from to get logs for it"
            )
        if not named.name:
            if job.id:
                raise InvalidArgument("pipeline must be specified for the given job")
            raise Unimplemented(
                "logs of the server itself are not implemented by pachlet",
                hint="name a pipeline or a job; the server writes its own log to stderr",
            )
        name = pipeline_name(named)
        owner = pipelines.find_pipeline(db, name.project, name.name)
        if owner is None:
            raise NotFound(f"could not get pipeline information for {name.project}/{name.name}: not found")
        if job.id and jobs.find_job(db, name.project, name.name, job.id) is None:
            raise NotFound(f'could not get job information for "{job.id}"')
        if job.id and request.pipeline.name and request.pipeline.name != name.name:
            raise Refused("job is from the wrong pipeline")
        since = nanoseconds(request.since) or _SINCE
        return Query(
            pipeline=owner.key,
            job=job.id,
            datum=request.datum.id,
            is_master=1 if request.master else None,
            since=self.clock.now() - since,
        )
