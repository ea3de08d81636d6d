"""Make of a datum's record what is needed to run it again: its files, and the code that ran.

A job keeps what earlier jobs made, so the datums of one commit may have been run by many jobs, under several versions
and on other code. Each is run again as the job that ran it did: from that job's input commits, under that version of
the spec, on the image with the recorded digest. All of it is in the record; the job's own row is not needed.

Read next: proving.py (who runs them), ../recording.py (what a record has).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pachlet.errors import PachletError
from pachlet.globs import Glob
from pachlet.metadb.connect import Transaction as Statements
from pachlet.metadb.stored_json import read_json
from pachlet.paths import Commit, Repo
from pachlet.pfs import commits
from pachlet.pfs.files import Files
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.repos import find_repo
from pachlet.pps.datum import Datum, DatumFile
from pachlet.pps.inputs import CronInput, PfsInput, parse_input
from pachlet.pps.job_inputs import JobInputs
from pachlet.pps.pipelines import PipelineRecord, get_pipeline
from pachlet.pps.planning import PlannedDatum
from pachlet.worker.interface import Image, Prepared, Runner


class Unverifiable(Exception):
    """Why datums can't be run again, as a sentence."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A datum of a commit as it was recorded."""

    id: str
    state: str
    hash: str
    index: int
    seconds: float
    """That the user's code took."""
    inputs: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    """What it ran on; one object for all that have the same."""


@dataclass
class Batch:
    """Datums that one job ran on one image."""

    job: str
    version: int
    reference: str
    digest: str
    kind: str
    datums: list[Recorded] = field(default_factory=list)


def batches_of(db: Statements, job: int) -> list[Batch]:
    """Return the datums of a job by how they were made; each knows the job that ran it."""
    found: dict[tuple[str, int, str], Batch] = {}
    known: dict[str, Mapping[str, Any]] = {}
    for row in db.each("datums_to_prove", job=job):
        facts = read_json(row["record"])
        image = facts.get("image") or {}
        provenance = image.get("provenance") or {}
        recorded = Recorded(
            id=row["id"],
            state=row["state"],
            hash=facts["hash"],
            index=int(facts.get("index") or 0),
            seconds=float((facts.get("stats") or {}).get("process_seconds") or 0.0),
            inputs=facts["inputs"],
            provenance=known.setdefault(json.dumps(provenance, sort_keys=True), provenance),
        )
        reference, digest = str(image.get("reference") or ""), str(image.get("digest") or "")
        batch = Batch(facts["job"], int(facts["version"]), reference, digest, str(image.get("kind") or ""))
        found.setdefault((batch.job, batch.version, digest), batch).datums.append(recorded)
    return list(found.values())


def spec_of(db: Statements, pipeline: PipelineRecord, batch: Batch) -> PipelineRecord:
    """Return the pipeline in the version that a batch was run under; raise Unverifiable."""
    try:
        return get_pipeline(db, pipeline.key, batch.version)
    except PachletError:
        raise Unverifiable(f"version {batch.version} of {pipeline.name} is gone") from None


def inputs_of(db: Statements, files: Files, batch: Batch, output: int) -> JobInputs:
    """Return the commits that a batch was made from, as far as they are there.

    For one that is gone that stands which the job reads whose `output` is to be proved: it kept the datum because its
    own had the same in it, and `remake` finds out where it has not.
    """
    present = {each.commit.repo: each for each in commits.upstream(db, output)}
    found: dict[Repo, CommitRecord] = {}
    for each in batch.datums:
        for source in each.inputs:
            repo, id = _repo_of(source), str(source["commit"])
            if repo in found:
                continue
            if (record := _find(db, Commit(repo, id))) is not None:
                found[repo] = record
            elif repo in present:
                found[repo] = replace(present[repo], commit=Commit(repo, id))
    return JobInputs(files, found.values())


def _find(db: Statements, commit: Commit) -> CommitRecord | None:
    """Return a commit itself, not what stands for it where it is gone."""
    repo = find_repo(db, commit.repo)
    row = db.first("get_commit", repo=repo.key, id=commit.id) if repo is not None else None
    return CommitRecord.of(row) if row is not None else None


def remake(pipeline: PipelineRecord, inputs: JobInputs, recorded: Recorded) -> PlannedDatum:
    """Return a datum as it was planned; raise Unverifiable if its files are not what they were."""
    leaves = _leaves(pipeline)
    files = tuple(_file(leaves, inputs, each) for each in recorded.inputs)
    datum = Datum(files)
    if datum.id != recorded.id:
        raise Unverifiable(f"the inputs of version {pipeline.version} give no datum {recorded.id[:12]}")
    return PlannedDatum(recorded.index, datum, recorded.hash)


def _file(leaves: Sequence[PfsInput], inputs: JobInputs, source: Mapping[str, Any]) -> DatumFile:
    repo, path = _repo_of(source), str(source["path"])
    where = f"{path} of {repo}@{source['commit'][:12]}"
    leaf = _leaf(leaves, repo, source)
    try:
        commit = inputs.commit(repo)
    except PachletError:
        raise Unverifiable(f"input commit {repo}@{source['commit'][:12]} is gone") from None
    if commit.is_forgotten:
        raise Unverifiable(f"the files of input commit {repo}@{source['commit'][:12]} are forgotten")
    info = inputs.files(repo).info(path)
    if info is None:
        raise Unverifiable(f"input {where} is gone")
    if info.hash.hex() != source["hash"]:
        raise Unverifiable(f"input {where} is not what it was when the datum ran")
    plain, glob = path.rstrip("/"), Glob(leaf.glob)
    return DatumFile(
        input=leaf,
        path=path,
        hash=info.hash,
        size=info.size,
        join_on=leaf.join_on and glob.replace(plain, leaf.join_on),
        group_by=leaf.group_by and glob.replace(plain, leaf.group_by),
    )


def _leaves(pipeline: PipelineRecord) -> list[PfsInput]:
    tree = parse_input(pipeline.spec["input"], pipeline.project)
    return [each.as_pfs() if isinstance(each, CronInput) else each for each in tree.visit()]


def _leaf(leaves: Iterable[PfsInput], repo: Repo, source: Mapping[str, Any]) -> PfsInput:
    """Return the input that a file came from; in a union several may have its name."""
    named = [
        each
        for each in leaves
        if (each.name, each.repo, each.branch) == (source["name"], repo, source["branch"])
    ]
    plain = str(source["path"]).rstrip("/") or "/"
    matching = [each for each in named if Glob(each.glob).match(plain) is not None]
    if not named:
        raise Unverifiable(f"the spec has no input {source['name']}")
    return (matching or named)[0]


def _repo_of(source: Mapping[str, Any]) -> Repo:
    return Repo(source["project"], source["repo"], source["type"])


def image_of(runner: Runner, snapshots: Path, batch: Batch) -> Image:
    """Return the image that a batch ran on; raise Unverifiable if it is gone."""
    reference, digest, kind = batch.reference, batch.digest, batch.kind
    if not digest:
        raise Unverifiable("the image that ran is not recorded")
    try:
        now = runner.resolve(reference)
    except PachletError as problem:
        if kind != "code" or not _snapshot(snapshots, digest).exists():
            raise Unverifiable(f"image {reference} is gone: {problem.message}") from None
        return Image(reference, digest, "code", {})
    if kind == "code":
        if now.digest != digest and not _snapshot(snapshots, digest).exists():
            raise Unverifiable(
                f"image {reference}@{digest[:19]} is gone: its code is not kept in {snapshots} any more, and the folder"
                f" of images has other code now, {now.digest[:19]}"
            )
        return Image(reference, digest, "code", {})
    if now.kind != kind:
        ways = {"host": "on the machine's own programs", "container": "in a container"}
        raise Unverifiable(
            f"image {reference} ran {ways.get(kind, kind)}, and this server runs it"
            f" {ways.get(now.kind, now.kind)} (pachlet serve --runner)"
        )
    # The machine's own programs are what they are; those of another machine are not comparable.
    return now if kind == "host" else Image(reference, digest, "container", {})


def make_ready(runner: Runner, snapshots: Path, image: Image) -> Prepared:
    """Make an image runnable; raise Unverifiable."""
    try:
        return runner.prepare(image, _snapshot(snapshots, image.digest), lambda line: None)
    except PachletError as problem:
        hint = f" ({problem.hint})" if problem.hint else ""
        raise Unverifiable(f"image {image.reference} can't be made ready: {problem.message}{hint}") from None


def _snapshot(snapshots: Path, digest: str) -> Path:
    return snapshots / digest.removeprefix("sha256:")
