"""The part of pps_v2.API that ends and deletes jobs from outside, and the call that auth would make.

Read next: open_transactions.py, pachlet/pps/jobs.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.lacking import NOT_ACTIVATED, lacking
from pachlet.api.names import pipeline_name
from pachlet.api.open_transactions import OpenTransactions
from pachlet.api.pps_part import PpsPart
from pachlet.clock import Clock
from pachlet.errors import InvalidArgument, Refused, Unimplemented
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs.transactions import Transaction
from pachlet.pps import jobs, pipelines
from pachlet.pps.engine import Engine
from pachlet.pps.jobs import JobRecord
from pachlet.pps.restarting import restart_datum
from pachlet.pps.states import JobState
from pachlet.wire import schema

_ENDS = {f"JOB_{state.upper()}": state for state in (JobState.FAILURE, JobState.KILLED, JobState.UNRUNNABLE)}


class JobService(PpsPart):
    """Answers the RPCs of pps_v2.API that end and delete jobs."""

    def __init__(self, engine: Engine, clock: Clock, open_transactions: OpenTransactions) -> None:
        super().__init__(engine, clock, open_transactions)
        open_transactions.acts["stop_job"] = self._stop_job
        open_transactions.acts["update_job_state"] = self._update_job_state

    def StopJob(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "stop_job", request)
        return messages.empty()

    def DeleteJob(self, request: Any, context: Context) -> Any:
        with self.engine.transactions.start() as txn:
            record = _find_job(txn.db, request)
            jobs.stop_job(txn, record, "job deleted")
            jobs.delete_job(txn, record)
        return messages.empty()

    def RestartDatum(self, request: Any, context: Context) -> Any:
        with self.engine.database.read() as db:
            record = _find_job(db, request)
        restart_datum(self.engine.leases, record, request.data_filters)
        return messages.empty()

    @lacking(NOT_ACTIVATED)
    def ActivateAuth(self, request: Any, context: Context) -> Any:
        raise Unimplemented("the auth service is not activated")

    @lacking("states that are no end: the engine itself moves jobs on")
    def UpdateJobState(self, request: Any, context: Context) -> Any:
        self.open_transactions.write(context, "update_job_state", request)
        return messages.empty()

    def _stop_job(self, txn: Transaction, request: Any) -> None:
        jobs.stop_job(txn, _find_job(txn.db, request), request.reason or "job stopped")

    def _update_job_state(self, txn: Transaction, request: Any) -> None:
        record = _find_job(txn.db, request)
        if record.state.is_terminal:
            raise Refused(f"job {record.id} has already finished")
        try:
            name = schema.enum_name("pps_v2.JobState", request.state)
        except KeyError:
            raise InvalidArgument(f"no state of a job has the number {request.state}") from None
        if name not in _ENDS:
            raise Unimplemented(
                f"UpdateJobState to {name} is not implemented by pachlet",
                hint="the engine itself moves jobs on; from outside they can be ended",
            )
        jobs.end_job(txn, record, _ENDS[name], request.reason)


def _find_job(db: Statements, request: Any) -> JobRecord:
    if not request.HasField("job"):
        raise InvalidArgument("must specify a job")
    name = pipeline_name(request.job.pipeline)
    pipelines.inspect_pipeline(db, name.project, name.name)
    return jobs.inspect_job(db, name.project, name.name, request.job.id)
