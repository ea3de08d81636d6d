"""pps_v2.API: its parts together, and datums.

Read next: pipeline_service.py, job_list_service.py, job_service.py, log_service.py, secret_service.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from pachlet.api import pps_messages
from pachlet.api.cron_service import CronService
from pachlet.api.defaults_service import DefaultsService
from pachlet.api.handlers import Context
from pachlet.api.job_list_service import JobListService
from pachlet.api.job_service import JobService
from pachlet.api.log_service import LogService
from pachlet.api.names import at_most
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pipeline_service import PipelineService
from pachlet.api.secret_service import SecretService
from pachlet.api.server_log import ServerLog
from pachlet.api.specs import as_json
from pachlet.api.status_service import StatusService
from pachlet.api.template_service import TemplateService
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument, NotFound, Refused
from pachlet.metadb.connect import Row
from pachlet.paths import DEFAULT_PROJECT
from pachlet.pps import pipelines
from pachlet.pps.datums import enumerate_datums
from pachlet.pps.engine import Engine
from pachlet.pps.inputs import CronInput, parse_input
from pachlet.pps.job_inputs import JobInputs, heads_of
from pachlet.pps.jobs import JobRecord
from pachlet.pps.ticking import Ticking
from pachlet.spec.defaults import fill_input
from pachlet.spec.validate import validate_input
from pachlet.wire import schema

_PAGE = 1000
_AFTER_ALL = "~"
"""After every id of a datum: they are hexadecimal."""


class PpsService(
    PipelineService,
    JobListService,
    JobService,
    LogService,
    SecretService,
    DefaultsService,
    TemplateService,
    StatusService,
    CronService,
):
    """Answers pps_v2.API."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        open_transactions: OpenTransactions,
        ticking: Ticking,
        server_log: ServerLog,
    ) -> None:
        super().__init__(engine, clock, open_transactions)
        self.ticking = ticking
        self.server_log = server_log

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
        number = at_most(request.number)
        with self.engine.database.read() as db:
            owner = pipelines.get_pipeline(db, record.pipeline, record.version)
        for row in self._datums(request, record, number):
            yield pps_messages.datum_info(owner, record, row)

    def _datums(self, request: Any, record: JobRecord, number: int | None) -> Iterator[Row]:
        """Yield the settled datums of a job by id, or reversed, from a request's paginationMarker on."""
        statement = "datums_before" if request.reverse else "datums_beyond"
        marker = request.paginationMarker or (_AFTER_ALL if request.reverse else "")
        states = set(request.filter.state)
        while number is None or number > 0:
            with self.engine.database.read() as db:
                page = db.all(statement, job=record.key, marker=marker, number=_PAGE)
            wanted = [row for row in page if not states or _datum_state(row, record) in states]
            yield from wanted[:number]
            if number is not None:
                number -= len(wanted)
            if len(page) < _PAGE:
                return
            marker = page[-1]["id"]

    def _list_planned(self, request: Any) -> Iterator[Any]:
        """Yield the datums that an input would make now, without any job."""
        spec = as_json(request.input)
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
