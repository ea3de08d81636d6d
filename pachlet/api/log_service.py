"""GetLogs of pps_v2.API: stored lines first, then live ones, without a seam between them.

Lines are kept in the order in which they were written and read by their number, so who follows sees each once, whether
it was there before or came since. Lines of the server itself are in memory only.

Read next: log_filter.py (lines of some data), server_log.py, pachlet/pps/logbook.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.handlers import Context
from pachlet.api.log_filter import LogFilter
from pachlet.api.names import NANOS, at_most, nanoseconds, pipeline_name
from pachlet.api.pps_part import PpsPart
from pachlet.api.server_log import Line, ServerLog
from pachlet.errors import InvalidArgument, NotFound, Refused
from pachlet.metadb.changes import Closed
from pachlet.metadb.connect import Row
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

    server_log: ServerLog

    def GetLogs(self, request: Any, context: Context) -> Iterator[Any]:
        if not request.HasField("pipeline") and not request.HasField("job") and not request.datum.job.id:
            if request.data_filters or request.HasField("datum"):
                raise InvalidArgument(
                    "must specify the Job or Pipeline that the datum is from to get logs for it"
                )
            yield from self._lines_of_server(request, context)
            return
        self.engine.logbook.flush()
        with self.engine.database.read() as db:
            query = self._query(db, request)
            owner = pipelines.get_pipeline(db, query.pipeline)
        wanted = LogFilter(self.engine, query.pipeline, tuple(request.data_filters))
        above = self._key_before_tail(query, wanted, at_most(request.tail))
        while True:
            changes = self.engine.database.changes
            seen, is_over = changes.count, not request.follow or self._is_over(query)
            rows = self._read(query, above)
            for row in rows:
                above = row["key"]
                if wanted.keeps(row):
                    yield pps_messages.log_message(owner, row, wanted.data_of(row))
            if not rows:
                if is_over:
                    return
                if not context.is_active():
                    raise Closed
                changes.wait(seen, timeout=1.0)

    def _read(self, query: Query, above: int) -> list[Row]:
        with self.engine.database.read() as db:
            return db.all("read_logs", above=above, number=_PAGE, **query.values())

    def _key_before_tail(self, query: Query, wanted: LogFilter, tail: int | None) -> int:
        """Return the key after which the last `tail` lines that are wanted come."""
        if tail is None:
            return 0
        if not wanted.filters:
            with self.engine.database.read() as db:
                return db.value("tail_logs", number=tail, **query.values()) or 0
        keys: list[int] = []
        above = 0
        while rows := self._read(query, above):
            above = rows[-1]["key"]
            keys = [*keys, *(row["key"] for row in rows if wanted.keeps(row))][-tail:]
        return keys[0] - 1 if keys else above

    def _is_over(self, query: Query) -> bool:
        """Tell whether the job that is followed has ended; a pipeline never ends."""
        if not query.job:
            return False
        with self.engine.database.read() as db:
            row = db.first("get_job", pipeline=query.pipeline, id=query.job)
            return row is None or jobs.JobRecord.of(row).state.is_terminal

    def _query(self, db: Statements, request: Any) -> Query:
        """Find out whose lines are meant: a datum's, a job's or a pipeline's."""
        job = request.datum.job if request.HasField("datum") and request.datum.job.id else request.job
        named = job.pipeline if job.id else request.pipeline
        if not named.name:
            raise InvalidArgument("pipeline must be specified for the given job")
        name = pipeline_name(named)
        owner = pipelines.find_pipeline(db, name.project, name.name)
        if owner is None:
            raise NotFound(
                f"could not get pipeline information for {name.project}/{name.name}: not found",
                hint="pachctl list pipeline --all-projects",
            )
        if job.id and jobs.find_job(db, name.project, name.name, job.id) is None:
            raise NotFound(
                f'could not get job information for "{job.id}"',
                hint=f"pachctl list job -p {name.name} --project {name.project}",
            )
        if job.id and request.pipeline.name and pipeline_name(request.pipeline) != name:
            raise Refused("job is from the wrong pipeline")
        return Query(
            pipeline=owner.key,
            job=job.id,
            datum=request.datum.id,
            is_master=1 if request.master else None,
            since=self._since(request, 0 if job.id else self.clock.now() - _SINCE),
        )

    def _since(self, request: Any, usual: int) -> int:
        """Return the time from which on lines are wanted: all of a job's, a day of a pipeline's, or as asked."""
        asked = nanoseconds(request.since)
        return self.clock.now() - asked if asked else usual

    def _lines_of_server(self, request: Any, context: Context) -> Iterator[Any]:
        since = self._since(request, self.clock.now() - _SINCE)
        changes, above = self.engine.database.changes, 0
        found = [each for each in self.server_log.lines(0) if each.time >= since]
        tail = at_most(request.tail)
        found = found[-tail:] if tail else found
        while True:
            for line in found:
                above = line.number
                yield _server_message(line)
            if not request.follow:
                return
            if not context.is_active():
                raise Closed
            seen = changes.count
            found = self.server_log.lines(above)
            if not found:
                changes.wait(seen, timeout=1.0)


def _server_message(line: Line) -> Any:
    return messages.make("pps_v2.LogMessage", ts=messages.timestamp(line.time), message=line.text)
