"""The part of pps_v2.API that looks at jobs, waits for them and follows them.

Read next: pps_messages.py, job_service.py (what ends jobs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.handlers import Context
from pachlet.api.message_filter import refuse_filter
from pachlet.api.names import at_most, commit_name, nanoseconds, pipeline_name, project_name
from pachlet.api.pps_part import PpsPart
from pachlet.errors import InvalidArgument, NotFound
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pps import jobs, pipelines
from pachlet.pps.jobs import JobRecord


class JobListService(PpsPart):
    """Answers the RPCs of pps_v2.API that look at jobs."""

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
        refuse_filter(request.jqFilter)
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
        refuse_filter(request.jqFilter)
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


def _page(records: Iterator[JobRecord], request: Any) -> list[JobRecord]:
    """Apply paginationMarker (a time, exclusive), number and reverse to jobs that come newest first."""
    found = list(records)
    if request.reverse:
        found.reverse()
    if request.HasField("paginationMarker"):
        mark = nanoseconds(request.paginationMarker)
        found = [each for each in found if (each.created > mark if request.reverse else each.created < mark)]
    return found[: at_most(request.number)]
