"""Find out what a commit is to a proof: the output of a job whose datums can run again, or nothing of the kind.

Read next: remaking.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import META, SPEC
from pachlet.pfs import commits
from pachlet.pfs.branches import find_branch
from pachlet.pfs.records import CommitRecord
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord, find_pipeline, get_pipeline, list_pipelines
from pachlet.pps.runs import Kind, kind_of
from pachlet.pps.states import JobState


@dataclass(frozen=True)
class Subject:
    """An output commit that is to be proved."""

    commit: CommitRecord
    job: JobRecord
    pipeline: PipelineRecord
    """In the version that the job had."""
    datums: int
    seconds: float
    """That its datums took when they ran, one after the other."""


@dataclass(frozen=True)
class Unprovable:
    """A commit of which nothing runs."""

    commit: CommitRecord
    reason: str
    is_trouble: bool
    """Whether there was something to prove."""


def subject_of(db: Statements, record: CommitRecord) -> Subject | Unprovable:
    """Return what a commit is to a proof."""
    row = db.first("job_of_commit", commit=record.key)
    if row is None or record.commit.repo.type == META:
        return _nobody_made(db, record)
    job = JobRecord.of(row)
    pipeline = get_pipeline(db, job.pipeline, job.version)
    if kind_of(pipeline.spec) is not Kind.TRANSFORM:
        reason = f"{pipeline.name} is a service: its commits have no files, and no datums made them"
        return Unprovable(record, reason, is_trouble=False)
    if not job.state.is_terminal:
        return Unprovable(record, "its job is not over yet; `pachctl wait job` waits for it", is_trouble=True)
    if job.state != JobState.SUCCESS:
        return Unprovable(record, f"its job ended as {job.state}: {job.reason}", is_trouble=True)
    if record.is_forgotten:
        return Unprovable(record, "the commit's files are forgotten", is_trouble=True)
    work = db.first("work_of_job", job=job.key)
    assert work is not None, "an aggregate has a row"
    return Subject(record, job, pipeline, work["datums"], work["seconds"] or 0.0)


def output_heads(db: Statements) -> list[CommitRecord]:
    """Return the newest output commit of each pipeline that has one, upstream first."""
    found = []
    for pipeline in list_pipelines(db):
        if kind_of(pipeline.spec) is Kind.TRANSFORM:
            branch = find_branch(db, pipeline.output_branch)
            if branch is not None and branch.head is not None:
                head = commits.get_commit(db, branch.head)
                if commits.is_pipeline_output(db, head):
                    found.append(head)
    return sorted(found, key=lambda each: each.key)


def with_upstream(db: Statements, wanted: Iterable[CommitRecord]) -> list[CommitRecord]:
    """Return commits with all output commits that they were made from, upstream first, each once."""
    found: dict[int, CommitRecord] = {}
    todo = list(wanted)
    for each in todo:
        found[each.key] = each
    while todo:
        for above in commits.upstream(db, todo.pop().key):
            if above.key not in found and commits.is_pipeline_output(db, above):
                found[above.key] = above
                todo.append(above)
    return sorted(found.values(), key=lambda each: each.key)


def _nobody_made(db: Statements, record: CommitRecord) -> Unprovable:
    repo = record.commit.repo
    if repo.type in (SPEC, META):
        reason = "it holds what is known of a pipeline, no results; name its output commit"
        return Unprovable(record, reason, is_trouble=False)
    pipeline = find_pipeline(db, repo.project, repo.name)
    if pipeline is None:
        reason = "no job made it: its files were put, by a user or by a clock"
        return Unprovable(record, reason, is_trouble=False)
    if kind_of(pipeline.spec) is Kind.SPOUT:
        reason = f"{repo.name} is a spout: what it wrote came from outside, and no datums made it"
        return Unprovable(record, reason, is_trouble=False)
    return Unprovable(record, "the record of the job that made it is gone", is_trouble=True)
