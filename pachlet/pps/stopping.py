"""Stop a pipeline, let it run again, run it once more.

A stopped pipeline is one whose output branches have no provenance: commits upstream pass it by, and no job is made.
When it starts, the provenance comes back, which opens an output commit behind the heads as they are then: what was
missed is caught up in one job.

Read next: pipelines.py.
"""

from __future__ import annotations

from pachlet.pfs.transactions import Transaction
from pachlet.pps import jobs
from pachlet.pps.pipelines import (
    PipelineRecord,
    connect,
    disconnect,
    find_pipeline,
    inspect_pipeline,
    put_version,
)
from pachlet.pps.states import PipelineState


def stop_pipeline(txn: Transaction, project: str, name: str, *, must_exist: bool = False) -> None:
    """Stop a pipeline and kill its jobs; nothing happens to one that is stopped, or, unless it must exist, missing."""
    record = (inspect_pipeline if must_exist else find_pipeline)(txn.db, project, name)
    if record is None:
        return
    disconnect(txn, record)
    txn.db.run("stop_pipeline", key=record.key, stopped=1)
    jobs.kill_jobs(txn, record.key, "all jobs killed because pipeline was stopped for user unknown_username")


def start_pipeline(txn: Transaction, project: str, name: str) -> None:
    """Let a stopped pipeline run again, beginning with what it missed; nothing happens to one that runs."""
    record = inspect_pipeline(txn.db, project, name)
    connect(txn, record)
    if record.is_stopped:
        txn.db.run("stop_pipeline", key=record.key, stopped=0)
        txn.db.run("set_pipeline_state", key=record.key, state=PipelineState.STARTING, reason="")


def rerun_pipeline(txn: Transaction, project: str, name: str, *, reprocess: bool = False) -> PipelineRecord:
    """Make the version that is there the next one: what failed runs again, and with `reprocess` everything."""
    record = inspect_pipeline(txn.db, project, name)
    return put_version(txn, record, record.user_spec, record.spec, reprocess=reprocess)
