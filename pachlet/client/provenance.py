"""Follow a file back to everything that it was made from.

    file -> datum -> job, pipeline version, spec commit, image (code digest, git commit) -> input files -> ...

An output file carries the id of its datum as a tag. The datum knows its input files and the job that ran it,
which may be older than the commit if the datum was skipped since; the meta file beside it says which code
ran. All of this is read through the API. On a Pachyderm that is not pachlet, the code's part is what
`image_id` says.

Read next: pachlet/pps/jobs.py (who writes the meta files), cli/verbs/trace.py (who prints this).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pachlet.client import names
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import inspect_datum
from pachlet.client.files import inspect_file, walk_file
from pachlet.client.get_file import get_bytes
from pachlet.client.jobs import inspect_job
from pachlet.errors import NotFound

_DATUM_ID = re.compile(r"[0-9a-f]{64}")
_DIR = 2  # FileType.DIR


@dataclass(frozen=True)
class Image:
    """The code that a datum ran."""

    reference: str
    digest: str = ""
    kind: str = ""
    git_commit: str = ""
    dirty: bool = False

    def __str__(self) -> str:
        parts = [f"{self.reference}@{self.digest}" if self.digest else self.reference or "image not recorded"]
        if self.kind == "host":
            parts.append("the machine's own programs")
        if self.git_commit:
            parts.append(f"git {self.git_commit[:12]}{' with changes' if self.dirty else ''}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Made:
    """One run of a pipeline's code on one datum."""

    project: str
    pipeline: str
    version: int
    spec_commit: str
    job: str
    datum: str
    image: Image
    inputs: tuple[Traced, ...]


@dataclass(frozen=True)
class Traced:
    """A file or folder of one commit, and the datums that made it; none for what a user put."""

    project: str
    repo: str
    commit: str
    path: str
    size_bytes: int
    hash: str
    made_by: tuple[Made, ...] = ()
    not_shown: int = 0
    """Further datums behind a folder, which were not followed, or further files of `holds`."""
    holds: tuple[str, ...] = ()
    """The files of a folder that a user put."""
    gone: bool = False

    def __str__(self) -> str:
        return f"{self.project}/{self.repo}@{self.commit}:{self.path}"


def trace(connection: Connection, file: str, *, limit: int = 3) -> Traced:
    """Return where a file comes from, down to what users put.

    Of the datums behind a folder only `limit` are followed: a report may gather hundreds.
    """
    return _Tracer(connection, limit).traced(inspect_file(connection, file))


def tree(traced: Traced) -> Iterator[str]:
    """Yield the lines of a text drawing; what was drawn before is only named again."""
    yield from _draw(traced, "", "", set())


class _Tracer:
    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._made: dict[tuple[str, str, str, str], Made] = {}

    def traced(self, info: Message) -> Traced:
        commit = info.file.commit
        files = self._files(info)
        datums = [tag for tag in dict.fromkeys(file.datum for file in files) if _DATUM_ID.fullmatch(tag)]
        holds = [file.path for file in files] if info.file_type == _DIR and not datums else []
        followed, not_shown = self._some(datums or holds)
        return Traced(
            project=commit.repo.project.name,
            repo=commit.repo.name,
            commit=commit.id,
            path=info.file.path,
            size_bytes=info.size_bytes,
            hash=info.hash.hex(),
            made_by=tuple(self._run(commit, datum) for datum in followed) if datums else (),
            not_shown=not_shown,
            holds=() if datums else tuple(followed),
        )

    def _input(self, file: Message) -> Traced:
        try:
            return self.traced(inspect_file(self._connection, names.show_file(file)))
        except NotFound:
            repo, commit = file.commit.repo, file.commit.id
            return Traced(repo.project.name, repo.name, commit, file.path, 0, "", gone=True)

    def _files(self, info: Message) -> list[Message]:
        """Return the file itself, or the files of a folder in the order of paths."""
        if info.file_type != _DIR:
            return [info.file]
        below = walk_file(self._connection, names.show_file(info.file))
        return [child.file for child in below if child.file_type != _DIR]

    def _some(self, every: list[str]) -> tuple[list[str], int]:
        """Return those to show, and how many are left out; one is never left out alone."""
        shown = every if len(every) <= self._limit + 1 else every[: self._limit]
        return shown, len(every) - len(shown)

    def _run(self, commit: Message, datum: str) -> Made:
        project, pipeline = commit.repo.project.name, commit.repo.name
        try:
            info = inspect_datum(self._connection, f"{project}/{pipeline}@{commit.id}", datum)
        except NotFound:  # the pipeline was deleted, its output repo kept
            return Made(project, pipeline, 0, "", commit.id, datum, Image(""), ())
        job = info.datum.job.id or commit.id
        key = (project, pipeline, job, datum)
        if key not in self._made:
            # The commit that the file is read from has the record too, and is there when the job's is squashed.
            self._made[key] = self._made_in(key, info, f"{project}/{pipeline}.meta@{commit.id}")
        return self._made[key]

    def _made_in(self, key: tuple[str, str, str, str], info: Message, meta: str) -> Made:
        project, pipeline, job, datum = key
        return Made(
            project=project,
            pipeline=pipeline,
            version=self._version(f"{project}/{pipeline}@{job}"),
            spec_commit=self._spec_commit(f"{project}/{pipeline}@{job}"),
            job=job,
            datum=datum,
            image=self._image(f"{meta}:/meta/{datum}/meta", info.image_id),
            inputs=tuple(self._input(each.file) for each in info.data),
        )

    def _version(self, job: str) -> int:
        try:
            return int(inspect_job(self._connection, job, details=False).pipeline_version)
        except NotFound:  # the job's record may be deleted; its output and datums are still there
            return 0

    def _spec_commit(self, commit: str) -> str:
        try:
            provenance = inspect_commit(self._connection, commit).direct_provenance
        except NotFound:  # it may be squashed
            return ""
        return next((each.id for each in provenance if each.repo.type == "spec"), "")

    def _image(self, meta: str, image_id: str) -> Image:
        try:
            facts = json.loads(get_bytes(self._connection, meta)).get("image")
        except (NotFound, ValueError):
            facts = None
        if isinstance(facts, Mapping):
            return _image_from(facts)
        reference, _, digest = image_id.partition("@")
        return Image(reference, digest)


def _image_from(facts: Mapping[str, Any]) -> Image:
    provenance = facts.get("provenance") or {}
    return Image(
        reference=str(facts.get("reference") or ""),
        digest=str(facts.get("digest") or ""),
        kind=str(facts.get("kind") or ""),
        git_commit=str(provenance.get("git_commit") or ""),
        dirty=bool(provenance.get("dirty")),
    )


def _draw(traced: Traced, first: str, rest: str, drawn: set[tuple[str, str, str]]) -> Iterator[str]:
    yield f"{first}{traced}{_about(traced)}"
    more = f"and {traced.not_shown} more {'datums' if traced.made_by else 'files'}"
    leaves = [*traced.holds, *([more] if traced.not_shown else [])]
    for index, made in enumerate(traced.made_by):
        last = index == len(traced.made_by) - 1 and not leaves
        yield from _draw_run(
            made, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), drawn
        )
    for index, leaf in enumerate(leaves):
        yield f"{rest}{'└─ ' if index == len(leaves) - 1 else '├─ '}{leaf}"


def _about(traced: Traced) -> str:
    if traced.gone:
        return " (deleted since)"
    # What users put has no code to tell it by: its hash is its identity.
    return f" (put by a user, hash {traced.hash[:12]})" if not traced.made_by and traced.hash else ""


def _draw_run(made: Made, first: str, rest: str, drawn: set[tuple[str, str, str]]) -> Iterator[str]:
    key = (made.pipeline, made.job, made.datum)
    version = f" version {made.version}" if made.version else ""
    head = f"{first}datum {made.datum[:12]} of {made.project}/{made.pipeline}{version}"
    if key in drawn:
        yield f"{head} (as above)"
        return
    drawn.add(key)
    yield head
    bar = "│  " if made.inputs else "   "
    yield f"{rest}{bar}job   {made.job}"
    if made.spec_commit:
        yield f"{rest}{bar}spec  {made.project}/{made.pipeline}.spec@{made.spec_commit}"
    yield f"{rest}{bar}code  {made.image}"
    for index, source in enumerate(made.inputs):
        last = index == len(made.inputs) - 1
        yield from _draw(source, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), drawn)
