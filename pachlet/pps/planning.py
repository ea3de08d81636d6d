"""Decide which datums a job has, and which of them need not run.

A datum is skipped when the base job, the nearest ancestor without an error, has one with the same id and hash that
succeeded: its output stays where it is. The hash covers the inputs and the salt and not the code, as upstream: it is
`update pipeline --reprocess` that makes old results run again with new code.

Read next: datums.py (where datums come from), running.py (who runs them).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pachlet.errors import NotFound
from pachlet.globs import Glob
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import Repo
from pachlet.pfs import commits
from pachlet.pfs.branches import inspect_branch
from pachlet.pfs.files import Files
from pachlet.pfs.globbing import glob_files
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.transactions import Transaction
from pachlet.pps.datums import Datum, FileMatch, datum_hash, enumerate_datums
from pachlet.pps.inputs import Input, PfsInput, parse_input
from pachlet.pps.jobs import JobRecord
from pachlet.pps.pipelines import PipelineRecord
from pachlet.pps.states import DatumState, JobState
from pachlet.storage.fileset import Diff, FileSet


class JobInputs:
    """The commits that the inputs of a job are read from, and the files in them."""

    def __init__(self, files: Files, input_commits: Iterable[CommitRecord]) -> None:
        self._commits = {each.commit.repo: each for each in input_commits}
        self._files = files
        self._open: dict[Repo, FileSet] = {}

    def commit(self, repo: Repo) -> CommitRecord:
        """Return the commit of a repo that the job reads; raise NotFound."""
        found = self._commits.get(repo)
        if found is None:
            raise NotFound(f"the job has no commit of its input {repo}: the repo or branch was deleted")
        return found

    def files(self, repo: Repo) -> FileSet:
        """Return the files of that commit, which is finished."""
        if repo not in self._open:
            self._open[repo] = self._files.open_finished(self.commit(repo).root)
        return self._open[repo]

    def match(self, leaf: PfsInput, glob: Glob) -> Iterator[FileMatch]:
        """Yield what an input's glob matches."""
        for info in glob_files(self.files(leaf.repo), leaf.glob):
            yield FileMatch(info.path, info.is_dir, info.hash, info.size)


@dataclass(frozen=True)
class PlannedDatum:
    """A datum with its place among the job's and the hash under which its result may be used again."""

    position: int
    datum: Datum
    hash: str


@dataclass(frozen=True)
class Plan:
    """What a job has to do."""

    datums: list[PlannedDatum]
    kept: list[tuple[PlannedDatum, Row]]
    """Datums that are skipped, each with its row in the base job."""
    dropped: list[str]
    """Ids of datums of the base job whose output has to go: they are gone or will run again."""


def heads_of(db: Statements, tree: Input) -> list[CommitRecord]:
    """Return the finished commits that an input would be read from now, one for each of its branches."""
    found = []
    for branch in tree.branches():
        head = inspect_branch(db, branch).head
        line = [commits.get_commit(db, head)] if head else []
        line += commits.ancestors(db, line[0]) if line else []
        found += [each for each in line if each.finished is not None and not each.error][:1]
    return found


def make_plan(db: Statements, inputs: JobInputs, pipeline: PipelineRecord, job: JobRecord) -> Plan:
    """Compare a job's datums with those of its base."""
    found: Iterable[Datum] = ()
    if pipeline.spec.get("input"):
        found = enumerate_datums(parse_input(pipeline.spec["input"], pipeline.project), inputs.match)
    datums = [PlannedDatum(i, each, datum_hash(each, pipeline.salt)) for i, each in enumerate(found)]
    base = find_base(db, job)
    before = {row["id"]: row for row in db.all("list_datums", job=base.key)} if base else {}
    may_skip = pipeline.spec.get("reprocess_spec", "until_success") != "every_job"
    kept = []
    for each in datums:
        row = before.get(each.datum.id)
        if may_skip and row is not None and row["hash"] == each.hash and row["state"] == DatumState.SUCCESS:
            kept.append((each, row))
    kept_ids = {each.datum.id for each, _ in kept}
    return Plan(datums, kept, [id for id in before if id not in kept_ids])


def find_base(db: Statements, job: JobRecord) -> JobRecord | None:
    """Return the job whose output this job's output starts from, or None."""
    base = commits.content_base(db, commits.get_commit(db, job.output))
    row = db.first("job_of_commit", commit=base.key) if base else None
    found = JobRecord.of(row) if row else None
    return found if found is not None and found.state == JobState.SUCCESS else None


def store_plan(txn: Transaction, files: Files, job: JobRecord, plan: Plan, image: str) -> None:
    """Record the skipped datums and stage the deletion of what was dropped; from here on the plan stands."""
    txn.db.run("plan_job", key=job.key, image=image, total=len(plan.datums), skipped=len(plan.kept))
    txn.db.many(
        "add_datums",
        [
            (job.key, each.datum.id, each.position, each.hash, row["state"], row["made_by"], row["record"])
            for each, row in plan.kept
        ],
    )
    meta_base = commits.content_base(txn.db, commits.get_commit(txn.db, job.meta))
    recorded = files.open_finished(meta_base.root if meta_base else None)
    dropped = plan.dropped
    if find_base(txn.db, job) is None:  # the base's job was deleted: what it made stays for nobody
        dropped = [each.path.rstrip("/").rpartition("/")[2] for each in recorded.list_dir("/meta")]
    if not dropped:
        return
    output, meta = Diff(), Diff()
    for id in dropped:
        prefix = output_prefix(id)
        for entry in recorded.entries(prefix):
            output.delete_file("/" + entry.path[len(prefix) :], id)
        meta.delete_tree(f"/pfs/{id}/")
        meta.delete_tree(f"/meta/{id}/")
    txn.db.run("add_staged", commit=job.output, diff=output.encode())
    txn.db.run("add_staged", commit=job.meta, diff=meta.encode())


def output_prefix(datum_id: str) -> str:
    """Return the folder of the meta repo that mirrors what a datum wrote."""
    return f"/pfs/{datum_id}/out/"


def made_by_older_code(plan: Plan, digest: str) -> dict[str, int]:
    """Count the skipped datums whose code was not `digest`, by the digest of the code that made them."""
    counts: dict[str, int] = {}
    for _, row in plan.kept:
        made_with = json.loads(row["record"])["image"]["digest"]
        if made_with != digest:
            counts[made_with] = counts.get(made_with, 0) + 1
    return counts
