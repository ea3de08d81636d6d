"""The part of pps_v2.API about datums: those of jobs, and those that an input would make.

What an input would make is listed by id, as a job would have it (ListDatum), or as it is found (CreateDatum, which
clients use to look at the first few of very many). Neither holds more than a page of them.

Read next: pps_messages.py, pachlet/pps/datums.py.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any

from pachlet.api import pps_messages
from pachlet.api.handlers import Context
from pachlet.api.names import at_most
from pachlet.api.pps_part import PpsPart
from pachlet.api.specs import as_json
from pachlet.errors import InvalidArgument, NotFound, Refused
from pachlet.metadb.connect import Row
from pachlet.paths import DEFAULT_PROJECT
from pachlet.pps import pipelines
from pachlet.pps.datum import Datum
from pachlet.pps.datums import enumerate_datums, stream_datums
from pachlet.pps.inputs import CronInput, Input, parse_input
from pachlet.pps.job_inputs import JobInputs, heads_of
from pachlet.pps.jobs import JobRecord
from pachlet.spec.defaults import fill_input
from pachlet.spec.validate import validate_input
from pachlet.wire import schema

_PAGE = 1000
_AFTER_ALL = "~"
"""After every id of a datum: they are hexadecimal."""
_STATES = {
    each: schema.enum_value("pps_v2.DatumState", each.upper())
    for each in ("success", "skipped", "failed", "recovered")
}
_BATCH = 100
"""How many datums CreateDatum gives to a caller who does not say."""


class DatumService(PpsPart):
    """Answers the RPCs of pps_v2.API about datums."""

    def InspectDatum(self, request: Any, context: Context) -> Any:
        if not request.HasField("datum") or not request.datum.id:
            raise InvalidArgument("must specify a datum")
        if not request.datum.HasField("job"):
            raise InvalidArgument("must specify a job")
        record = self.job_of(request.datum)
        with self.engine.database.read() as db:
            owner = pipelines.get_pipeline(db, record.pipeline, record.version)
            row = db.first("get_datum", job=record.key, id=request.datum.id)
            if row is None:
                raise NotFound(
                    f"datum {request.datum.id} not found in job {record.id}",
                    hint=f"pachctl list datum {owner.name}@{record.id} --project {owner.project}",
                )
            return pps_messages.datum_info(owner, record, row)

    def ListDatum(self, request: Any, context: Context) -> Iterator[Any]:
        if request.HasField("job") and request.HasField("input"):
            raise InvalidArgument("cannot specify both job and input")
        if request.reverse and request.number <= 0:
            raise InvalidArgument("number must be > 0 when reverse is set")
        number = at_most(request.number)
        if request.HasField("input"):
            tree, inputs = self._planned(request.input, "list")
            for datum in _page(enumerate_datums(tree, inputs.match), request, number):
                yield pps_messages.planned_datum_info(datum, inputs)
            return
        record = self.job_of(request)
        with self.engine.database.read() as db:
            owner = pipelines.get_pipeline(db, record.pipeline, record.version)
        for row in self._datums(request, record, number):
            yield pps_messages.datum_info(owner, record, row)

    def CreateDatum(self, requests: Iterator[Any], context: Context) -> Iterator[Any]:
        first = next(requests, None)
        if first is None:
            return
        if not first.HasField("start"):
            raise Refused("first message must be a StartCreateDatumRequest message")
        tree, inputs = self._planned(first.start.input, "create")
        found = (pps_messages.planned_datum_info(each, inputs) for each in stream_datums(tree, inputs.match))
        number, at = first.start.number, next(found, None)
        while at is not None:
            for _ in range(number if number > 0 else _BATCH):
                yield at
                at = next(found, None)
                if at is None:
                    return
            following = next(requests, None)
            if following is None:
                return
            if not following.HasField("continue"):
                raise Refused("subsequent messages must be a ContinueCreateDatumRequest message")
            number = getattr(following, "continue").number

    def _datums(self, request: Any, record: JobRecord, number: int | None) -> Iterator[Row]:
        """Yield the settled datums of a job by id, or reversed, from a request's paginationMarker on."""
        where = "before" if request.reverse else "beyond"
        statement = f"datums_{where}"
        values: dict[str, Any] = {"job": record.key}
        if request.filter.state:
            states = [word for word, each in _STATES.items() if each in request.filter.state]
            statement = f"datums_of_states_{where}"
            values |= {"job_id": record.id, "states": json.dumps(states)}
            if record.state.is_terminal:  # it is known how many there are: nobody looks for more
                there_are = sum(_number_of(record, each) for each in states)
                number = there_are if number is None else min(number, there_are)
        marker = request.paginationMarker or (_AFTER_ALL if request.reverse else "")
        while number is None or number > 0:
            most = _PAGE if number is None else min(number, _PAGE)
            with self.engine.database.read() as db:
                page = db.all(statement, **values, marker=marker, number=most)
            yield from page
            if len(page) < most:
                return
            marker = page[-1]["id"]
            if number is not None:
                number -= len(page)

    def _planned(self, input: Any, what: str) -> tuple[Input, JobInputs]:
        """Return an input that no pipeline has, and what it would read now."""
        spec = as_json(input)
        fill_input(spec, {})
        validate_input(spec)
        tree = parse_input(spec, DEFAULT_PROJECT)
        if any(isinstance(leaf, CronInput) for leaf in tree.visit()):
            raise Refused(
                f"can't {what} datums with a cron input, there will be no datums until the pipeline is created"
            )
        with self.engine.database.read() as db:
            return tree, JobInputs(self.engine.files, heads_of(db, tree), may_lack=True)


def _page(datums: Iterable[Datum], request: Any, number: int | None) -> Iterable[Datum]:
    """Apply filter, paginationMarker (exclusive), number and reverse to datums that no job has, in order of ids."""
    states, marker = set(request.filter.state), request.paginationMarker
    if states and schema.enum_value("pps_v2.DatumState", "UNKNOWN") not in states:
        return ()
    if request.reverse:
        before = (each for each in datums if not marker or each.id < marker)
        return heapq.nlargest(number or 0, before, key=attrgetter("id"))
    return islice((each for each in datums if each.id > marker), number)


def _number_of(record: JobRecord, state: str) -> int:
    """Return how many datums of a job that is over ended in a state."""
    counts = {"success": record.processed, "skipped": record.skipped}
    return {**counts, "failed": record.failed, "recovered": record.recovered}[state]
