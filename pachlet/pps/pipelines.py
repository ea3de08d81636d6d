"""Create, update, find and delete pipelines.

A pipeline is a spec, its output repo and two system repos: `spec`, where a commit marks each version, and `meta`, which
holds the record of each datum. What makes it run is provenance: its output branch is downstream of its inputs and of
its spec, so a commit to any of them opens an output commit, and that is a job.

Read next: jobs.py.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pachlet.errors import AlreadyExists, NotFound, PachletError, Refused
from pachlet.ids import new_id
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.paths import Branch, Repo
from pachlet.pfs import branches, commits, repos
from pachlet.pfs.transactions import Transaction
from pachlet.pfs.triggers import Trigger
from pachlet.pps import cron_inputs, jobs
from pachlet.pps.catching_up import catch_up_of, until_of
from pachlet.pps.inputs import PfsInput, parse_input
from pachlet.pps.logbook import Source, write_line
from pachlet.pps.runs import Kind, kind_of
from pachlet.pps.secrets import check_secrets, secrets_named
from pachlet.pps.skipping import check_annotations
from pachlet.pps.spec_defaults import plan_effective_spec
from pachlet.pps.states import PipelineState
from pachlet.pps.support import refuse_unsupported
from pachlet.spec.unheeded import unheeded_fields, warning_of
from pachlet.spec.validate import validate_pipeline

_DEFAULT_TRIES = 3


@dataclass(frozen=True)
class PipelineRecord:
    """One version of a pipeline as stored; specs are JSON objects with the schema's field names."""

    key: int
    project: str
    name: str
    version: int
    state: PipelineState
    reason: str
    created: int
    updated: int
    is_stopped: bool
    metadata: str
    spec_commit: str
    user_spec_json: str
    spec_json: str
    salt: str
    kind: Kind

    @cached_property
    def user_spec(self) -> dict[str, Any]:
        """The spec as the user gave it."""
        found: dict[str, Any] = read_json(self.user_spec_json)
        return found

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The effective spec."""
        found: dict[str, Any] = read_json(self.spec_json)
        return found

    @property
    def repo(self) -> Repo:
        """The output repo."""
        return Repo(self.project, self.name)

    @property
    def output_branch(self) -> Branch:
        """The branch that its jobs write."""
        return Branch(self.repo, self.spec["output_branch"])

    @property
    def parallelism(self) -> int:
        """How many workers a job of it may have."""
        return max(1, int(self.spec.get("parallelism_spec", {}).get("constant", 1)))

    @property
    def datum_tries(self) -> int:
        """How often a datum is tried; a number below 1 is as good as none."""
        tries = int(self.spec.get("datum_tries") or 0)
        return tries if tries > 0 else _DEFAULT_TRIES

    @property
    def datum_timeout(self) -> float | None:
        """Seconds that one attempt at a datum may take; the spec has it as protobuf writes durations, `30s`."""
        return self._seconds("datum_timeout")

    @property
    def job_timeout(self) -> float | None:
        """Seconds that a job may take from its start."""
        return self._seconds("job_timeout")

    def _seconds(self, field: str) -> float | None:
        text = self.spec.get(field)
        return float(str(text).removesuffix("s")) if text else None


def _record(row: Row) -> PipelineRecord:
    """Make a record of a row of `pipelines` joined with one of its versions."""
    return PipelineRecord(
        key=row["key"],
        project=row["project"],
        name=row["name"],
        version=row["shown"],
        state=PipelineState.PAUSED if row["stopped"] else PipelineState(row["state"]),
        reason=row["reason"],
        created=row["created"],
        updated=row["updated"],
        is_stopped=bool(row["stopped"]),
        metadata=row["metadata"],
        spec_commit=row["spec_commit"],
        user_spec_json=row["user_spec"],
        spec_json=row["effective_spec"],
        salt=row["salt"],
        kind=Kind(row["kind"]),
    )


def find_pipeline(db: Statements, project: str, name: str) -> PipelineRecord | None:
    """Return a pipeline, or None."""
    row = db.first("get_pipeline_version_by_name", project=project, name=name)
    return _record(row) if row else None


def inspect_pipeline(db: Statements, project: str, name: str) -> PipelineRecord:
    """Return a pipeline; raise NotFound with the text that clients match on."""
    found = find_pipeline(db, project, name)
    if found is None:
        raise NotFound(
            f"couldn't find up to date spec for pipeline: pipeline {project}/{name} not found",
            hint="pachctl list pipeline --all-projects",
        )
    return found


def get_pipeline(db: Statements, key: int, version: int | None = None) -> PipelineRecord:
    """Return the pipeline with a key that is known to exist, in its current version or another."""
    row = db.first("get_pipeline_version", key=key, version=version)
    if row is None:
        raise NotFound("a pipeline in use, or a version of it, was deleted")
    return _record(row)


def list_pipelines(
    db: Statements,
    pipeline: int | None = None,
    history: int = 0,
    *,
    projects: Collection[str] = (),
    first: int = 0,
    number: int = -1,
) -> list[PipelineRecord]:
    """Return the pipelines (or the one with a key) of some projects (none is all), newest first.

    Args:
        history: so many older versions of each come after it; -1 is all.
        first: leave out so many.
        number: at most so many; -1 is all.
    """
    rows = db.all(
        "list_pipeline_versions",
        pipeline=pipeline,
        history=history,
        projects=json.dumps(list(projects)) if projects else None,
        first=first,
        number=number,
    )
    return [_record(row) for row in rows]


def pipelines_of_set(db: Statements, commit_set: str) -> list[PipelineRecord]:
    """Return the pipelines that a commit set has work of, each in the version that it had then, newest first."""
    specs: dict[Repo, str] = {}
    for each in commits.commits_behind_set(db, commit_set):
        specs.setdefault(each.commit.repo, each.commit.id)
    return [each for each in list_pipelines(db, history=-1) if specs.get(each.repo.spec) == each.spec_commit]


def refuse_pipeline_repo(db: Statements, repo: Repo) -> None:
    """Raise if a repo belongs to a pipeline: it goes with the pipeline, not alone."""
    if find_pipeline(db, repo.project, repo.name) is not None:
        raise Refused(
            f"cannot delete a repo associated with a pipeline - delete the pipeline instead: {repo}",
            hint=f"pachctl delete pipeline {repo.name} --project {repo.project}",
        )


def plan_spec(
    db: Statements, user_spec: dict[str, Any], before: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the effective spec of a valid one: with defaults, and checked for what can't be run here.

    That a secret is gone which the effective spec `before` needed, too, is no reason to refuse another version.
    """
    spec = plan_effective_spec(db, user_spec)
    validate_pipeline(spec)
    if before is None or secrets_named(spec) != secrets_named(before):
        check_secrets(db, spec)
    refuse_unsupported(spec)
    catch_up_of(spec)
    until_of(spec)
    check_annotations(spec)
    return spec


def create_pipeline(
    txn: Transaction, user_spec: dict[str, Any], *, update: bool = False, reprocess: bool = False
) -> PipelineRecord:
    """Create a pipeline, or with `update` give it a new version; either makes a job, unless it is stopped.

    The salt of the datum hashes is kept by an update, so that datums with unchanged inputs are skipped; `reprocess`
    draws a new one, whatever the spec says, so that none is.
    """
    spec = plan_spec(txn.db, user_spec)
    cron_inputs.fill_starts(spec, txn.now)
    project, name = spec["pipeline"]["project"]["name"], spec["pipeline"]["name"]
    before = find_pipeline(txn.db, project, name)
    if before is not None and not update:
        raise AlreadyExists(f'pipeline "{name}" already exists', hint="pachctl update pipeline -f SPEC")
    return put_version(txn, before, user_spec, spec, reprocess=reprocess)


def put_version(
    txn: Transaction,
    before: PipelineRecord | None,
    user_spec: dict[str, Any],
    spec: dict[str, Any],
    *,
    reprocess: bool,
) -> PipelineRecord:
    """Make an effective spec the version after `before`, or the first one; what ran for the old one is killed."""
    project, name = spec["pipeline"]["project"]["name"], spec["pipeline"]["name"]
    repos.inspect_project(txn.db, project)
    cron_inputs.create_repos(txn, spec, project, name)
    upstream, quiet = _input_branches(txn.db, spec, project)
    key = before.key if before else _add_pipeline(txn, project, name)
    if before is not None:
        _check_kind(before, spec)
        reason = "all jobs killed because pipeline was updated for user unknown_username"
        jobs.kill_jobs(txn, key, reason, but_serving=True)
        if before.output_branch.name != spec["output_branch"]:
            for repo in (before.repo, before.repo.meta):  # the old branch is nobody's output any more
                branches.create_branch(txn, Branch(repo, before.output_branch.name))
    spec_commit = commits.start_commit(txn, Branch(Repo(project, name).spec, "master"))
    commits.start_finishing(txn, spec_commit)
    version = before.version + 1 if before else 1
    salt = before.salt if before and not reprocess else ("" if reprocess else spec.get("salt", ""))
    txn.db.run(
        "add_pipeline_version",
        pipeline=key,
        version=version,
        spec_commit=spec_commit.commit.id,
        user_spec=json.dumps(user_spec),
        effective_spec=json.dumps(spec),
        salt=salt or new_id(),
        created=txn.now,
    )
    txn.db.run("set_pipeline_version", key=key, version=version, kind=kind_of(spec))
    cron_inputs.follow_schedules(txn, key, spec, project)
    made = get_pipeline(txn.db, key)
    if made.is_stopped:
        disconnect(txn, made)
    else:
        _connect(txn, made, upstream, quiet)
    _set_triggers(txn, spec, project)
    txn.db.run("set_pipeline_state", key=key, state=PipelineState.STARTING, reason="")
    _warn(txn, made, before)
    return get_pipeline(txn.db, key)


def _warn(txn: Transaction, made: PipelineRecord, before: PipelineRecord | None) -> None:
    """Say in a pipeline's log, once, which fields of its spec make no difference; `reason` is for what it waits for."""
    names = unheeded_fields(made.spec)
    if names and (before is None or names != unheeded_fields(before.spec)):
        write_line(txn.db, Source(made.key, ""), warning_of(names), txn.now)


def _check_kind(before: PipelineRecord, spec: dict[str, Any]) -> None:
    """Refuse to make, say, a spout of a transform: what one has written is not what the other starts from."""
    old, new = kind_of(before.spec), kind_of(spec)
    if old != new:
        raise Refused(
            f"pipeline {before.name} is a {old} and can't become a {new}",
            hint="delete it and create it again; `--keep-repo` leaves what it has written",
        )


def connect(txn: Transaction, record: PipelineRecord) -> None:
    """Put a pipeline's output branches downstream of what it reads; where they were not, that makes a job."""
    _connect(txn, record, *_input_branches(txn.db, record.spec, record.project))


def disconnect(txn: Transaction, record: PipelineRecord) -> None:
    """Take the provenance of a pipeline's output branches away: nothing that happens upstream makes a job of it."""
    for repo in (record.repo, record.repo.meta):
        branches.create_branch(txn, Branch(repo, record.output_branch.name))


def _connect(txn: Transaction, record: PipelineRecord, upstream: list[Branch], quiet: list[Branch]) -> None:
    for repo in (record.repo, record.repo.meta):
        branches.create_branch(
            txn,
            Branch(repo, record.output_branch.name),
            upstream=[*upstream, Branch(record.repo.spec, "master")],
            never_propagate=quiet,
        )


def _add_pipeline(txn: Transaction, project: str, name: str) -> int:
    output = Repo(project, name)
    if repos.find_repo(txn.db, output) is not None:
        raise Refused(
            f'pipeline "{name}" cannot be created because a repo with the same name already exists',
            hint="name the pipeline differently, or delete the repo",
        )
    repos.create_repo(txn, output, f"Output repo for pipeline {project}/{name}.")
    repos.create_repo(txn, output.spec, f"Spec repo for pipeline {project}/{name}.")
    repos.create_repo(txn, output.meta, f"Meta repo for pipeline {project}/{name}")
    return txn.db.run("add_pipeline", project=project, name=name, created=txn.now)


def _input_branches(db: Statements, spec: dict[str, Any], project: str) -> tuple[list[Branch], list[Branch]]:
    """Return the branches that a spec reads, and those of them whose commits shall make no job."""
    if not spec.get("input"):
        return [], []
    tree = parse_input(spec["input"], project)
    for branch in tree.branches():
        repos.inspect_project(db, branch.repo.project)
        repos.inspect_repo(db, branch.repo)
    heard = {leaf.source for leaf in tree.visit() if leaf.propagates}
    return tree.branches(), [branch for branch in tree.branches() if branch not in heard]


def _set_triggers(txn: Transaction, spec: dict[str, Any], project: str) -> None:
    """Give the branches of inputs with a trigger that trigger; they were created as provenance of the output."""
    if not spec.get("input"):
        return
    for leaf in parse_input(spec["input"], project).visit():
        if isinstance(leaf, PfsInput) and leaf.trigger is not None:
            trigger = Trigger(
                branch=leaf.trigger.get("branch", ""),
                needs_all=bool(leaf.trigger.get("all")),
                rate_limit_spec=leaf.trigger.get("rate_limit_spec", ""),
                size=leaf.trigger.get("size", ""),
                commits=int(leaf.trigger.get("commits", 0)),
                cron_spec=leaf.trigger.get("cron_spec", ""),
            )
            try:
                branches.create_branch(txn, leaf.source, trigger=trigger)
            except PachletError as error:
                text = f"could not create/update trigger branch: {error}"
                raise type(error)(text, hint=error.hint) from None


def delete_pipeline(
    txn: Transaction, project: str, name: str, *, force: bool = False, keep_repo: bool = False
) -> bool:
    """Delete a pipeline with its jobs and repos (`keep_repo` leaves its output); return whether it was there."""
    row = txn.db.first("get_pipeline", project=project, name=name)
    if row is None:
        return False
    key = row["key"]
    jobs.kill_jobs(txn, key, "pipeline deleted")
    specs = [get_pipeline(txn.db, key, version).spec for version in range(1, row["version"] + 1)]
    jobs.delete_datums(txn.db, "pipeline", key)
    for statement in (
        "delete_logs_of_pipeline",
        "delete_jobs_of_pipeline",
        "delete_pipeline_versions",
    ):
        txn.db.run(statement, pipeline=key)
    output = Repo(project, name)
    if keep_repo:
        for branch in branches.list_branches(txn.db, output):
            branches.create_branch(txn, branch.branch)
    doomed = (output.meta, output.spec) if keep_repo else (output,)
    for repo in doomed:
        try:
            repos.delete_repo(txn, repo, force=force)
        except PachletError as error:
            raise type(error)(f'cannot delete pipeline "{name}": {error}', hint=error.hint) from None
    cron_inputs.delete_cron_inputs(txn, key, project, name, specs, force=force)
    txn.db.run("delete_pipeline", key=key)
    return True


def delete_pipelines(
    txn: Transaction, projects: Collection[str], *, force: bool = False, keep_repo: bool = False
) -> list[PipelineRecord]:
    """Delete the pipelines of some projects (none is all), those downstream first; return what they were."""
    found = list_pipelines(txn.db, projects=projects)

    def height(record: PipelineRecord) -> int:
        output = branches.find_branch(txn.db, record.output_branch)
        return len(branches.provenance(txn.db, output.key)) if output else 0

    found.sort(key=height, reverse=True)
    for each in found:
        delete_pipeline(txn, each.project, each.name, force=force, keep_repo=keep_repo)
    return found
