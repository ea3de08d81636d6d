"""Find out what it takes to run one datum here: of a job, or of a spec that is no pipeline yet.

All is asked of Pachyderm's own API, so the datum may be a cluster's. What that does not tell, which input of the spec a
file came through, follows from the datum's id: it is a hash of the inputs' names and the files' paths.

Read next: bench.py (who runs it), ../pps/datum.py (ids).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pachlet.client import names
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection, Message
from pachlet.client.datum_search import find_datum, find_datum_among, no_such_datum
from pachlet.client.datums import datum_record, list_datum_of_spec
from pachlet.client.defaults import get_defaults
from pachlet.client.jobs import inspect_job
from pachlet.client.pipelines import inspect_pipeline, with_project
from pachlet.errors import FailedPrecondition, NotFound, PachletError, Unimplemented
from pachlet.globs import Glob
from pachlet.ids import new_id
from pachlet.paths import Repo
from pachlet.pps.datum import Datum, DatumFile, datum_id
from pachlet.pps.datum_folder import datum_environ
from pachlet.pps.engine import worker_environ
from pachlet.pps.inputs import CronInput, PfsInput, parse_input
from pachlet.spec.defaults import effective_spec
from pachlet.spec.parse import canonical

_MOST_GUESSES = 4096
_DIR = 2  # FileType.DIR


@dataclass(frozen=True)
class File:
    """A file or folder of the datum."""

    at: str
    """Where the step sees it, below /pfs; empty parts of it are folders."""
    name: str
    """In PFS: `project/repo@commit:/path`."""
    is_dir: bool
    is_empty: bool
    """Whether the step sees names only."""


@dataclass(frozen=True)
class OneDatum:
    """A datum that is to be run here."""

    pipeline: str
    version: int
    job: str
    id: str
    spec: Mapping[str, Any]
    """The effective spec that it is run by."""
    environ: Mapping[str, str]
    files: Sequence[File]
    reference: str
    digest: str = ""
    """Of the image that ran it; empty if it has not run, or it is not recorded."""
    kind: str = ""
    """code, host or container, as pachlet records it."""
    ended: str = ""
    """What became of it: success, failed and so on, with the reason."""


def datum_of_job(connection: Connection, job: str, wanted: str) -> OneDatum:
    """Return a datum of a job, by its id, the beginning of that, or a path.

    Raises:
        NotFound: there is no such datum.
        FailedPrecondition: the pipeline has none.
    """
    info = inspect_job(connection, job)
    pipeline = names.show_pipeline(info.job.pipeline)
    found = find_datum(connection, names.show_job(info.job), wanted)
    if found is None:
        raise no_such_datum(names.show_job(info.job), wanted)
    record = datum_record(connection, found)
    # One that was skipped is the datum of the job that ran it.
    ran = found.datum.job.id or info.job.id
    version = int(record.get("version") or info.pipeline_version)
    spec = _spec_of(connection, pipeline, version)
    image = record.get("image") or {}
    reference, _, digest = found.image_id.partition("@")
    return _one(
        spec,
        found,
        pipeline=pipeline,
        version=version,
        job=ran,
        spec_commit=str(record.get("spec_commit") or _spec_commit(connection, info)),
        reference=image.get("reference") or reference or spec["transform"]["image"],
        digest=image.get("digest") or digest,
        kind=image.get("kind") or "",
        ended=_ended(info, found),
    )


def datum_of_spec(connection: Connection, user_spec: Mapping[str, Any], wanted: str) -> OneDatum:
    """Return a datum that a spec would have now, by a path, its id or the beginning of that; the first if '' is wanted.

    Raises:
        NotFound: it would have no such datum.
        Usage: several of its datums are meant.
    """
    user_spec = with_project(user_spec, connection.project)
    project = user_spec["pipeline"]["project"]["name"]
    spec = effective_spec(user_spec, _defaults(connection), _defaults(connection, project))
    pipeline = f"{project}/{spec['pipeline']['name']}"
    every = list_datum_of_spec(connection, user_spec)
    found = find_datum_among(connection, every, pipeline, wanted) if wanted else next(every, None)
    if found is None:
        what = f"with {wanted}" if wanted else "at all"
        raise NotFound(
            f"{pipeline} would have no datum {what} now", hint="`pachctl list datum -f SPEC` shows them"
        )
    reference = spec["transform"]["image"]
    return _one(
        spec, found, pipeline=pipeline, version=0, job=new_id(), spec_commit="", reference=reference
    )  # fmt: skip


def _one(spec: Mapping[str, Any], info: Message, *, job: str, spec_commit: str, **more: Any) -> OneDatum:
    if spec.get("service") is not None or spec.get("spout") is not None:
        raise FailedPrecondition(f"{more['pipeline']} is a service or a spout, which has no datums to run")
    project, _, name = more["pipeline"].rpartition("/")
    datum = Datum(tuple(_datum_files(parse_input(spec["input"], project), info)))
    commits = {_repo(each.file): each.file.commit.id for each in info.data}
    environ = {
        **worker_environ(project, name, spec_commit),
        **datum_environ(datum, lambda repo: commits[repo], job),
        "PACH_DATUM_ID": info.datum.id,
    }
    files = [
        File(f"{file.name}{file.path}", names.show_file(each.file), file.is_dir, file.input.empty_files)
        for file, each in zip(datum.files, info.data, strict=True)
    ]
    return OneDatum(job=job, id=info.datum.id, spec=spec, environ=environ, files=files, **more)


def _datum_files(tree: Any, info: Message) -> Iterable[DatumFile]:
    """Return the files of a datum with the inputs that they came through."""
    leaves = [each.as_pfs() if isinstance(each, CronInput) else each for each in tree.visit()]
    choices = [_leaves_of(leaves, each.file) for each in info.data]
    combinations = list(itertools.islice(itertools.product(*choices), _MOST_GUESSES))
    if not combinations:
        raise FailedPrecondition(f"the files of datum {info.datum.id[:12]} match no input of the spec")
    guesses = [tuple(map(_file, chosen, info.data)) for chosen in combinations]
    return next((each for each in guesses if datum_id(each) == info.datum.id), guesses[0])


def _leaves_of(leaves: Sequence[PfsInput], file: Message) -> list[PfsInput]:
    plain = file.path.rstrip("/") or "/"
    of_repo = [each for each in leaves if each.repo == _repo(file)]
    return [each for each in of_repo if Glob(each.glob).match(plain) is not None] or of_repo


def _file(leaf: PfsInput, info: Message) -> DatumFile:
    is_dir = info.file_type == _DIR
    plain, glob = info.file.path.rstrip("/"), Glob(leaf.glob)
    return DatumFile(
        input=leaf,
        path=f"{plain}/" if is_dir else plain,
        hash=bytes(info.hash),
        size=int(info.size_bytes),
        join_on=leaf.join_on and glob.replace(plain, leaf.join_on),
        group_by=leaf.group_by and glob.replace(plain, leaf.group_by),
    )


def _repo(file: Message) -> Repo:
    repo = file.commit.repo
    return Repo(repo.project.name or "default", repo.name, repo.type or "user")


def _ended(job: Message, info: Message) -> str:
    """Return what became of a datum, with the reason where its job ended for it."""
    from pachlet.wire import schema

    state = schema.enum_name("pps_v2.DatumState", info.state).lower()
    _, of_it, reason = str(job.reason).partition(f"datum {info.datum.id} failed: ")
    return f"{state}: {reason}" if of_it else state


def _spec_of(connection: Connection, pipeline: str, version: int) -> dict[str, Any]:
    """Return the effective spec of a version of a pipeline."""
    info = inspect_pipeline(connection, pipeline)
    if (back := info.version - version) > 0:
        info = inspect_pipeline(connection, f"{pipeline}^{back}")
    if not info.effective_spec_json:
        raise Unimplemented(
            f"{connection.address} does not tell the specs of its pipelines (Pachyderm before 2.8)",
            hint="`pachlet try SPEC --datum PATH` takes the spec from a file",
        )
    return effective_spec(canonical(json.loads(info.effective_spec_json)), {}, {})


def _spec_commit(connection: Connection, info: Message) -> str:
    try:
        provenance = inspect_commit(connection, names.show_job(info.job)).direct_provenance
    except NotFound:  # it may be squashed
        return ""
    return next((str(each.id) for each in provenance if each.repo.type == "spec"), "")


def _defaults(connection: Connection, project: str = "") -> dict[str, Any]:
    """Return what the server lays under every spec; nothing where it has no defaults (before 2.8)."""
    try:
        found = json.loads(get_defaults(connection, project) or "{}")
    except PachletError:
        return {}
    return found.get("createPipelineRequest") or found.get("create_pipeline_request") or {}
