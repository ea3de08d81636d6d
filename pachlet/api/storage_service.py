"""pachlet.v1.Storage: garbage collection, disk usage, backups and purges, which Pachyderm's API has no words for.

Read next: wire/proto/pachlet/v1/storage.proto, pachlet/pfs/collecting.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pachlet.api import messages
from pachlet.api.callers import mark_of
from pachlet.api.handlers import Context
from pachlet.api.names import commit_name, nanoseconds
from pachlet.api.stalls import unless_stalled
from pachlet.config import DataDir
from pachlet.errors import Corrupt, InvalidArgument
from pachlet.metadb.connect import Database
from pachlet.pfs.backing_up import Part, plan_backup
from pachlet.pfs.collecting import GRACE, SLACK, Collector, Progress, Report
from pachlet.pfs.holders import Holder
from pachlet.pfs.purging import Purge, Purger, PurgeReport, all_purges
from pachlet.pfs.usage import RepoUsage, Totals, disk_usage
from pachlet.storage.chunks import ChunkStore

_BLOCK = 1 << 20


class StorageService:
    """Answers pachlet.v1.Storage."""

    def __init__(self, paths: DataDir, database: Database, store: ChunkStore, purger: Purger) -> None:
        self._purger = purger
        self._paths = paths
        self._database = database
        self._store = store
        self._collector = Collector(database, store)

    def CollectGarbage(self, request: Any, context: Context) -> Iterator[Any]:
        grace = GRACE
        if request.HasField("grace"):
            grace = timedelta(microseconds=nanoseconds(request.grace) // 1000)
        slack = request.slack_percent / 100 if request.HasField("slack_percent") else SLACK
        if grace < timedelta(0) or not 0 <= slack < 1:
            raise InvalidArgument(
                "the grace time must not be negative, and the slack be from 0 to 99 percent"
            )
        steps = self._collector.collect(dry_run=request.dry_run, grace=grace, slack=slack)
        yield from unless_stalled(context, "a collection", map(_step, steps))

    def DiskUsage(self, request: Any, context: Context) -> Iterator[Any]:
        repos, totals = disk_usage(self._database, self._store)
        for each in repos:
            yield messages.make("pachlet.v1.DiskUsageResponse", repo=_repo_usage(each))
        yield messages.make("pachlet.v1.DiskUsageResponse", totals=_totals(totals))

    def Backup(self, request: Any, context: Context) -> Iterator[Any]:
        have = {each.path: each.size for each in request.have}
        yield from unless_stalled(context, "a backup", self._back_up(have, request.lineage))

    def _back_up(self, have: dict[str, int], lineage: str) -> Iterator[Any]:
        with plan_backup(self._paths, self._database, self._store, have, lineage) as plan:
            yield messages.make(
                "pachlet.v1.BackupResponse",
                plan=messages.make(
                    "pachlet.v1.BackupPlan",
                    lineage=plan.lineage,
                    files=len(plan.parts),
                    bytes=sum(part.size for part in plan.parts),
                    had_bytes=sum(part.size for part in plan.parts if part.had),
                ),
            )
            for part in plan.parts:
                if not part.had:
                    plan.check(part)
                    yield from _send(part)
            end = messages.make(
                "pachlet.v1.BackupEnd", paths=[part.path for part in plan.parts], faults=plan.faults()
            )
            yield messages.make("pachlet.v1.BackupResponse", end=end)

    def Purge(self, request: Any, context: Context) -> Iterator[Any]:
        with self._database.read() as db:
            named = [(commit_name(each.commit).resolve(db), each.path) for each in request.files]
        steps = self._purger.purge(
            named,
            who=request.author or mark_of(context).author,
            why=request.reason,
            include_shared=request.include_shared,
            include_logs=request.include_logs,
            dry_run=request.dry_run,
        )
        yield from unless_stalled(context, "a purge", map(_purge_step, steps))

    def ListPurges(self, request: Any, context: Context) -> Iterator[Any]:
        with self._database.read() as db:
            found = all_purges(db)
        yield from map(_purge, found)

    def LiftPurge(self, request: Any, context: Context) -> Any:
        return _purge(self._purger.lift(request.id, request.author or mark_of(context).author))


def _step(step: Progress | Report) -> Any:
    if isinstance(step, Report):
        return messages.make("pachlet.v1.CollectGarbageResponse", report=_report(step))
    return messages.make("pachlet.v1.CollectGarbageResponse", progress=_progress(step))


def _purge_step(step: Progress | PurgeReport) -> Any:
    if isinstance(step, PurgeReport):
        return messages.make("pachlet.v1.PurgeResponse", report=_purge_report(step))
    return messages.make("pachlet.v1.PurgeResponse", progress=_progress(step))


def _progress(step: Progress) -> Any:
    return messages.make("pachlet.v1.Progress", step=step.step, done=step.done, total=step.total)


def _send(part: Part) -> Iterator[Any]:
    """Yield a file: its name, its bytes, their digest."""
    file = messages.make("pachlet.v1.BackupFile", path=part.path, size=part.size, mode=part.mode)
    yield messages.make("pachlet.v1.BackupResponse", file=file)
    digest, left = hashlib.sha256(), part.size
    with part.source.open("rb") as source:
        while left:
            data = source.read(min(_BLOCK, left))
            if not data:
                raise Corrupt(
                    f"{part.source} is shorter than the index says", hint="`pachctl fsck` says what is lost"
                )
            left -= len(data)
            digest.update(data)
            yield messages.make("pachlet.v1.BackupResponse", data=data)
    yield messages.make("pachlet.v1.BackupResponse", digest=digest.digest())


def _report(report: Report) -> Any:
    return messages.make(
        "pachlet.v1.GarbageReport",
        dry_run=report.dry_run,
        disk_bytes_before=report.disk_before,
        disk_bytes_after=report.disk_after,
        chunks=report.chunks,
        chunk_bytes=report.chunk_bytes,
        nodes=report.nodes,
        node_bytes=report.node_bytes,
        packs_removed=report.packs_removed,
        packs_rewritten=report.packs_rewritten,
        kept=[
            messages.make("pachlet.v1.Kept", reason=reason, bytes=size)
            for reason, size in report.kept.most_common()
            if size
        ],
        faults=report.faults,
    )


def _repo_usage(usage: RepoUsage) -> Any:
    return messages.make(
        "pachlet.v1.RepoUsage",
        repo=messages.repo(usage.repo),
        head_bytes=usage.head,
        logical_bytes=usage.logical,
        unique_bytes=usage.unique,
        shared_bytes=usage.shared,
        commits=usage.commits,
    )


def _totals(totals: Totals) -> Any:
    return messages.make(
        "pachlet.v1.DiskTotals",
        stored_bytes=totals.stored,
        other_bytes=totals.other,
        pack_bytes=totals.packs,
        database_bytes=totals.database,
        damaged_nodes=totals.damaged,
    )


def _purge(purge: Purge) -> Any:
    return messages.make(
        "pachlet.v1.PurgeInfo",
        id=purge.id,
        time=messages.timestamp(purge.time),
        author=purge.who,
        reason=purge.why,
        places=purge.places,
        chunks=purge.chunks,
        bytes=purge.bytes,
        is_done=purge.is_done,
        lifted_by=purge.lifted_by,
        lifted=messages.timestamp(purge.lifted or None),
    )


def _purge_report(report: PurgeReport) -> Any:
    return messages.make(
        "pachlet.v1.PurgeReport",
        purge=None if report.purge is None else _purge(report.purge),
        files=map(_holder, report.holders.copies),
        sharing=map(_holder, report.holders.sharing),
        chunks=report.chunks,
        bytes=report.bytes,
        quoted=[
            messages.make("pachlet.v1.Quoted", pipeline=pipeline, job=job, lines=lines)
            for (pipeline, job), lines in sorted(report.quotes.items())
        ],
        quotes_cut=not report.looked_for_all,
        uploads=report.uploads,
        running_jobs=report.running_jobs,
        overwritten=report.records,
    )


def _holder(holder: Holder) -> Any:
    commit = None if holder.commit is None else messages.commit(holder.commit, "")
    return messages.make(
        "pachlet.v1.PurgedFile",
        file=messages.make("pfs_v2.File", commit=commit, path=holder.path),
        file_set=holder.fileset,
        commits=holder.commits,
        size_bytes=holder.content.size,
        hash=holder.content.hash,
    )
