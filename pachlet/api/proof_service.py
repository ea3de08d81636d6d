"""pachlet.v1.Proofs: run the datums of commits again and tell where what comes of it is not what is stored.

Read next: wire/proto/pachlet/v1/proofs.proto, pachlet/pps/proving/proving.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from pachlet.api import messages
from pachlet.api.code_pieces import code_pieces
from pachlet.api.handlers import Context
from pachlet.api.names import commit_name
from pachlet.errors import InvalidArgument, NotFound
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import USER
from pachlet.pfs import commits
from pachlet.pfs.records import CommitRecord
from pachlet.pps.engine import Engine
from pachlet.pps.proving.proving import Proving
from pachlet.pps.proving.subjects import output_heads, subject_of, with_upstream
from pachlet.pps.proving.telling import CommitVerdict, FileVerdict, News, StepVerdict, Verdict

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ProofService:
    """Answers pachlet.v1.Proofs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def Verify(self, request: Any, context: Context) -> Iterator[Any]:
        if not (request.commits or request.commit_sets or request.all):
            raise InvalidArgument("must specify commits, commit sets or all")
        with self._engine.database.read() as db:
            wanted = {each.key: each for each in _wanted(db, request)}
            records = with_upstream(db, wanted.values()) if request.deep else list(wanted.values())
            subjects = [subject_of(db, each) for each in records]
        proving = Proving(self._engine, subjects)
        context.add_callback(proving.cancel)
        with closing(proving.news()) as news:
            yield from map(_answer, news)

    def Code(self, request: Any, context: Context) -> Iterator[Any]:
        if not _DIGEST.fullmatch(request.digest):
            raise InvalidArgument(f"{request.digest!r} is no digest of an image")
        snapshot = self._engine.snapshots / request.digest.removeprefix("sha256:")
        if not snapshot.is_dir():
            raise NotFound(f"the code of {request.digest[:19]} is not kept here")
        yield from code_pieces(snapshot)


def _wanted(db: Statements, request: Any) -> Iterator[CommitRecord]:
    for each in request.commits:
        yield commit_name(each).resolve(db)
    for each in request.commit_sets:
        found = [
            record
            for record in commits.commits_of_set(db, each.id)
            if record.commit.repo.type == USER and commits.is_pipeline_output(db, record)
        ]
        if not found:
            raise NotFound(f"no job belongs to commit set {each.id}", hint="pachctl list job")
        yield from found
    if request.all:
        yield from output_heads(db)


def _answer(news: News) -> Any:
    return messages.make(
        "pachlet.v1.VerifyResponse",
        files=map(_file, news.files),
        steps=map(_step, news.steps),
        commits=map(_commit, news.commits),
        progress=messages.make(
            "pachlet.v1.VerifyProgress",
            datums=news.done,
            datums_total=news.total,
            seconds_left=news.seconds_left,
        ),
    )


def _file(verdict: FileVerdict) -> Any:
    return messages.make(
        "pachlet.v1.FileVerdict",
        file=messages.make("pfs_v2.File", commit=messages.commit_of(verdict.commit), path=verdict.path),
        verdict=verdict.verdict,
        reason=verdict.reason,
        datum=verdict.datum,
        job=verdict.job,
    )


def _step(verdict: StepVerdict) -> Any:
    project = messages.project(verdict.project)
    return messages.make(
        "pachlet.v1.StepVerdict",
        pipeline=messages.make("pps_v2.Pipeline", project=project, name=verdict.pipeline),
        version=verdict.version,
        image=verdict.digest,
        is_deterministic=verdict.is_deterministic,
        datum=verdict.datum,
        path=verdict.path,
    )


def _commit(verdict: CommitVerdict) -> Any:
    counts = verdict.counts
    return messages.make(
        "pachlet.v1.CommitVerdict",
        commit=messages.commit_of(verdict.commit),
        datums=verdict.datums,
        identical=counts[Verdict.IDENTICAL],
        differing=counts[Verdict.DIFFERS],
        not_comparable=counts[Verdict.NOT_COMPARABLE],
        unverified=counts[Verdict.UNVERIFIED],
        reason=verdict.reason,
        is_trouble=verdict.is_trouble,
    )
