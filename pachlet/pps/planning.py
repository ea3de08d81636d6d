"""Decide what a job has to do: compare its datums with those of its base, and write down what comes of it.

Both come sorted by id, so they are walked through side by side. What is kept is only counted here, and copied from the
base's rows by the database; so a plan is as large as the work that it means, whatever is there already.

Read next: skipping.py (the rule), running.py (who runs what is to be run).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pachlet.errors import Unavailable
from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transaction
from pachlet.pps.datum import Datum, datum_hash
from pachlet.pps.datums import enumerate_datums
from pachlet.pps.inputs import parse_input
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.skipping import Policy, Rule, Verdict, asked_since, globs_of
from pachlet.pps.states import JobState
from pachlet.storage.fileset import Diff


@dataclass(frozen=True, slots=True)
class PlannedDatum:
    """A datum with its place among the job's and the hash under which its result may be used again."""

    position: int
    datum: Datum
    hash: str


@dataclass(frozen=True)
class Plan:
    """What a job has to do."""

    base: JobRecord | None
    rule: Rule
    todo: list[PlannedDatum]
    kept: Mapping[str, int]
    """How many datums are kept, by the code that made them."""
    runs: Mapping[str, int]
    """How many datums run, by why."""
    again: list[str]
    """Ids of datums of the base that run again: their output has to go."""
    gone: list[str]
    """Ids of datums of the base that are none of this job."""

    @property
    def total(self) -> int:
        return len(self.todo) + self.skipped

    @property
    def skipped(self) -> int:
        return sum(self.kept.values())

    def facts(self) -> dict[str, Any]:
        """Return what is remembered of the plan when its work is done, ready to be JSON."""
        return {
            "base": self.base.id if self.base else "",
            "policy": self.rule.policy,
            "code": self.rule.code,
            "kept": dict(self.kept),
            "runs": dict(self.runs),
            "gone": len(self.gone),
            "asked": [glob.pattern for glob in self.rule.globs],
            "takes_any_code": self.rule.takes_any_code,
        }


def find_base(db: Statements, job: JobRecord) -> JobRecord | None:
    """Return the job whose output this job's output starts from, or None."""
    return job_behind(db, commits.content_base(db, commits.get_commit(db, job.output)))


def job_behind(db: Statements, output: CommitRecord | None) -> JobRecord | None:
    """Return the job that made an output commit and ended well, or None."""
    row = db.first("job_of_commit", commit=output.key) if output else None
    found = JobRecord.of(row) if row else None
    return found if found is not None and found.state == JobState.SUCCESS else None


def rule_for(
    db: Statements, pipeline: PipelineRecord, base: JobRecord | None, policy: Policy, code: str
) -> Rule:
    """Return the rule for a job that runs `code`, given what happened to its pipeline since the base job."""
    every_job = pipeline.spec.get("reprocess_spec", "until_success") == "every_job"
    if base is None:
        return Rule(policy, code, runs_every_job=every_job)
    asked, is_asked_now = asked_since(db, pipeline.key, base.version, pipeline.version)
    return Rule(
        policy,
        code,
        salt_is_new=get_pipeline(db, pipeline.key, base.version).salt != pipeline.salt,
        runs_every_job=every_job,
        takes_any_code=is_asked_now,
        globs=globs_of(asked),
    )


def make_plan(
    db: Statements, inputs: JobInputs, pipeline: PipelineRecord, base: JobRecord | None, rule: Rule
) -> Plan:
    """Compare the datums that a pipeline has now with those of a base."""
    before = db.each("datums_to_compare", job=base.key) if base else iter(())
    kept: Counter[str] = Counter()
    runs: Counter[str] = Counter()
    todo, again, gone = [], [], []
    at = next(before, None)
    for position, datum in enumerate(datums_of(pipeline, inputs)):
        while at is not None and at["id"] < datum.id:
            gone.append(at["id"])
            at = next(before, None)
        same = at if at is not None and at["id"] == datum.id else None
        if same is not None:
            at = next(before, None)
        hash = datum_hash(datum, pipeline.salt)
        verdict = rule.judge(datum, hash, same)
        if verdict is Verdict.KEPT:
            assert same is not None
            kept[same["code"]] += 1
            continue
        runs[verdict] += 1
        todo.append(PlannedDatum(position, datum, hash))
        if same is not None:
            again.append(same["id"])
    if at is not None:
        gone.append(at["id"])
    gone += [row["id"] for row in before]
    return Plan(base, rule, todo, kept, runs, again, gone)


def left_to_do(
    db: Statements, inputs: JobInputs, pipeline: PipelineRecord, job: JobRecord
) -> list[PlannedDatum]:
    """Return what a job that was interrupted has still to run: what its rows say nothing of."""
    settled = db.each("datums_to_compare", job=job.key)
    todo = []
    at = next(settled, None)
    for position, datum in enumerate(datums_of(pipeline, inputs)):
        while at is not None and at["id"] < datum.id:
            at = next(settled, None)
        if at is None or at["id"] != datum.id:
            todo.append(PlannedDatum(position, datum, datum_hash(datum, pipeline.salt)))
    return todo


def datums_of(pipeline: PipelineRecord, inputs: JobInputs) -> Iterator[Datum]:
    if not pipeline.spec.get("input"):
        return iter(())
    return enumerate_datums(parse_input(pipeline.spec["input"], pipeline.project), inputs.match)


def deletions(db: Statements, files: Files, job: JobRecord, plan: Plan) -> list[tuple[int, Diff]]:
    """Return what of the base has to go, for each of a job's commits that holds any."""
    meta_base = commits.content_base(db, commits.get_commit(db, job.meta))
    if meta_base is None:
        return []
    output, meta = Diff(), Diff()
    if not plan.skipped:
        # Nothing of it is kept; or it is not known which datums are in it, because its job was deleted.
        output.delete_tree("/")
        meta.delete_tree("/")
        return [(job.output, output), (job.meta, meta)]
    recorded = files.open_finished(meta_base.root)
    dropped = [*plan.again, *plan.gone]
    for id in dropped:
        prefix = output_prefix(id)
        for entry in recorded.entries(prefix):
            output.delete_file("/" + entry.path[len(prefix) :], id)
        meta.delete_tree(f"/pfs/{id}/")
        meta.delete_tree(f"/meta/{id}/")
    return [(job.output, output), (job.meta, meta)] if dropped else []


def store_plan(
    txn: Transaction, job: JobRecord, plan: Plan, image: str, dropped: Iterable[tuple[int, Diff]]
) -> None:
    """Record the kept datums and stage the deletion of what is `dropped`; from here on the plan stands.

    Raises:
        Unavailable: the base job was deleted since the plan was made.
    """
    facts = json.dumps(plan.facts())
    txn.db.run("plan_job", key=job.key, image=image, total=plan.total, skipped=plan.skipped, plan=facts)
    if plan.base is not None and plan.skipped:
        txn.db.run(
            "keep_datums",
            job=job.key,
            base=plan.base.key,
            dropped=json.dumps([*plan.again, *plan.gone]),
            counts_as=plan.rule.code if plan.rule.takes_any_code else "",
        )
        if txn.db.value("number_of_datums", job=job.key) != plan.skipped:
            raise Unavailable(
                "the job that this one starts from was deleted while it was planned",
                hint="`pachctl rerun pipeline` runs it again",
            )
    for key, diff in dropped:
        txn.db.run("add_staged", commit=key, diff=diff.encode())


def output_prefix(datum_id: str) -> str:
    """Return the folder of the meta repo that mirrors what a datum wrote."""
    return f"/pfs/{datum_id}/out/"
