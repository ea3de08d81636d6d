"""The part of pps_v2.API that looks at jobs, waits for them and follows them.

A listing is read in pages of its own, each in a snapshot of its own: whoever reads a hundred thousand jobs slowly
neither holds the database nor has them all in memory.

Read next: pps_messages.py, job_service.py (what ends jobs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pachlet.api import messages, pps_messages
from pachlet.api.handlers import Context
from pachlet.api.message_filter import open_filter
from pachlet.api.names import at_most, commit_name, nanoseconds, pipeline_name, project_name
from pachlet.api.pps_messages import Owners
from pachlet.api.pps_part import PpsPart
from pachlet.errors import InvalidArgument, NotFound
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pps import pipelines
from pachlet.pps.jobs import JobRecord
from pachlet.pps.waiting import with_wait

_PAGE = 500
_LAST = 2**62
"""Later than any time, and above any key."""


class JobListService(PpsPart):
    """Answers the RPCs of pps_v2.API that look at jobs."""

    def InspectJob(self, request: Any, context: Context) -> Any:
        record = self.job_of(request)
        if request.wait:
            record = self._wait(record, context)
        with self.engine.database.read() as db:
            return pps_messages.job_info(db, self._seen(db, record), details=request.details)

    def _seen(self, db: Statements, record: JobRecord) -> JobRecord:
        """Return a job with what it waits for."""
        return with_wait(db, self.engine.leases, record)

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
            infos = [] if request.wait else self._job_infos(Owners(db), records, details=request.details)
        yield from infos
        if request.wait:
            for record in records:
                settled = self._wait(record, context)
                with self.engine.database.read() as db:
                    (info,) = self._job_infos(Owners(db), [settled], details=request.details)
                yield info
            self._wait_for_commits(id, context)

    def _job_infos(self, owners: Owners, records: Iterable[JobRecord], *, details: bool) -> list[Any]:
        """Return the JobInfos of jobs, with what each of them waits for."""
        return [
            pps_messages.job_info_of(owners.of(each), self._seen(owners.db, each), details=details)
            for each in records
        ]

    def _wait_for_commits(self, id: str, context: Context) -> None:
        """Return when every commit of a set is finished: those without a job, too."""

        def look() -> bool | None:
            with self.engine.database.read() as db:
                found = commits.commits_of_set(db, id)
            return True if all(each.finished is not None for each in found) else None

        self.engine.database.changes.until(look, context.is_active)

    def ListJob(self, request: Any, context: Context) -> Iterator[Any]:
        projects = {project_name(each) for each in request.projects}
        with self.engine.database.read() as db:
            key = _pipeline_key(db, request)
            sets = [_sets_below(db, each) for each in request.input_commit if each.id or each.branch.name]
        number = at_most(request.number)
        with open_filter(request.jqFilter) as keeps:
            for owner, record in self._jobs(request, key):
                if projects and owner.project not in projects:
                    continue
                if not all(record.id in each for each in sets):
                    continue
                if not record.state.is_terminal:
                    with self.engine.database.read() as db:
                        record = self._seen(db, record)
                info = pps_messages.job_info_of(owner, record, details=request.details)
                if not keeps(info):
                    continue
                yield info
                if number is not None:
                    number -= 1
                    if number == 0:
                        return

    def _jobs(
        self, request: Any, pipeline: int | None
    ) -> Iterator[tuple[pipelines.PipelineRecord, JobRecord]]:
        """Yield jobs of the versions that a request's history asks for, in its order, each with its pipeline."""
        for page in self._pages(request, pipeline):
            with self.engine.database.read() as db:
                owners = Owners(db)
                newest = {each.key: owners.current_version(each) for each in page}
                oldest = {
                    key: 0 if request.history < 0 else each - request.history for key, each in newest.items()
                }
                found = [
                    (owners.of(each), each)
                    for each in page
                    if newest[each.key] >= each.version >= oldest[each.key]
                ]
            yield from found

    def _pages(self, request: Any, pipeline: int | None) -> Iterator[list[JobRecord]]:
        """Yield jobs in pages, newest first or reversed, from a request's paginationMarker on."""
        statement = "jobs" if pipeline is None else "jobs_of_pipeline"
        values: dict[str, Any] = {"number": min(at_most(request.number) or _PAGE, _PAGE)}
        if pipeline is not None:
            values["pipeline"] = pipeline
        has_mark = request.HasField("paginationMarker")
        time = nanoseconds(request.paginationMarker)
        if request.reverse:
            statement += "_beyond"
            values |= {"after": time if has_mark else -_LAST, "mark": 0}
        else:
            statement += "_before"
            values |= {"before": time if has_mark else _LAST, "mark": _LAST}
        while True:
            with self.engine.database.read() as db:
                page = [JobRecord.of(row) for row in db.all(statement, **values)]
            yield page
            if len(page) < values["number"]:
                return
            values |= {"mark": page[-1].key, "number": _PAGE}

    def ListJobSet(self, request: Any, context: Context) -> Iterator[Any]:
        projects = {project_name(each) for each in request.projects}
        number, seen = at_most(request.number), set[str]()
        owners: Owners | None = None  # one for all sets: what a version of a pipeline is stays so
        with open_filter(request.jqFilter) as keeps:
            for first in (each for page in self._pages(request, None) for each in page):
                if first.id in seen:
                    continue
                seen.add(first.id)
                with self.engine.database.read() as db:
                    owners = owners or Owners(db)
                    owners.db = db
                    found = self._job_set(owners, first, projects, request)
                infos = [each for each in found if keeps(each)]
                if not infos:
                    continue
                named = messages.make("pps_v2.JobSet", id=first.id)
                yield messages.make("pps_v2.JobSetInfo", job_set=named, jobs=infos)
                if number is not None:
                    number -= 1
                    if number == 0:
                        return

    def _job_set(self, owners: Owners, first: JobRecord, projects: set[str], request: Any) -> list[Any]:
        """Return the JobInfos of a set, or none where a page before had it: a set's place is that of its first job."""
        records = [JobRecord.of(row) for row in owners.db.all("jobs_of_set", id=first.id)]
        at = 0 if request.reverse else -1
        if request.HasField("paginationMarker") and records and first.key != records[at].key:
            return []
        wanted = [each for each in records if not projects or owners.of(each).project in projects]
        return self._job_infos(owners, wanted, details=request.details)

    def SubscribeJob(self, request: Any, context: Context) -> Iterator[Any]:
        if not request.pipeline.name:
            raise InvalidArgument("pipeline must be specified")
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
                    (info,) = self._job_infos(Owners(db), [record], details=request.details)
                yield info
            is_first = False


def _pipeline_key(db: Statements, request: Any) -> int | None:
    """Return the key of the pipeline that a request is about; None for all."""
    if not request.HasField("pipeline") or not request.pipeline.name:
        return None
    name = pipeline_name(request.pipeline)
    return pipelines.inspect_pipeline(db, name.project, name.name).key


def _sets_below(db: Statements, message: Any) -> set[str]:
    """Return the ids of the commit sets with a commit that was made directly from the one that a message names."""
    record = commit_name(message).resolve(db)
    return {row["id"] for row in db.all("sets_directly_below", commit=record.key)}
