"""Tell what a new or updated pipeline would do with its datums, and do nothing.

The pipeline is made in a transaction that is rolled back, so what is wrong with it shows as it would; then the same
planner that jobs use compares the files that its inputs have now with the last job that ended well.

Read next: planning.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pachlet.errors import PachletError
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import branches, commits
from pachlet.pfs.records import CommitRecord
from pachlet.pps.engine import Engine
from pachlet.pps.inputs import parse_input
from pachlet.pps.job_inputs import JobInputs, heads_of
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord, create_pipeline, plan_spec
from pachlet.pps.planning import Plan, job_behind, make_plan, rule_for
from pachlet.pps.skipping import code_of, policy_of


@dataclass(frozen=True)
class Foreseen:
    """What a pipeline would do."""

    pipeline: PipelineRecord
    plan: Plan
    note: str
    """Why it is not known what code would run, if it is not."""


def foresee(engine: Engine, spec: dict[str, Any], *, update: bool, reprocess: bool) -> Foreseen:
    """Return what would be if a pipeline were created or updated now; raise what that would raise."""
    code, note = _code(engine, spec)
    heads: list[CommitRecord] = []
    with engine.transactions.start(is_dry_run=True) as txn:
        pipeline = create_pipeline(txn, spec, update=update, reprocess=reprocess)
        if pipeline.spec.get("input"):
            heads = heads_of(txn.db, parse_input(pipeline.spec["input"], pipeline.project))
        base = _last_good_job(txn.db, pipeline)
        rule = rule_for(txn.db, pipeline, base, policy_of(pipeline.spec, engine.skip), code)
    # What takes time is done when the transaction is over, so that nobody waits for it.
    with engine.database.read() as db:
        inputs = JobInputs(engine.files, heads, may_lack=True)
        return Foreseen(pipeline, make_plan(db, inputs, pipeline, base, rule), note)


def _code(engine: Engine, spec: Mapping[str, Any]) -> tuple[str, str]:
    """Return what would run, or '' and why that is not known."""
    with engine.database.read() as db:
        transform = plan_spec(db, dict(spec))["transform"]
    try:
        return code_of(engine.runner.resolve(transform["image"]).digest, transform), ""
    except PachletError as error:
        return "", error.message


def _last_good_job(db: Statements, pipeline: PipelineRecord) -> JobRecord | None:
    """Return the job that the next one starts from: what is not finished when a pipeline is updated is killed."""
    branch = branches.find_branch(db, pipeline.output_branch)
    if branch is None or branch.head is None:
        return None
    head = commits.get_commit(db, branch.head)
    line = (each for each in (head, *commits.ancestors(db, head)) if each.finished is not None)
    return job_behind(db, next((each for each in line if not each.error), None))
