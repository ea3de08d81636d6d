"""pachlet.v1.Storage: garbage collection, disk usage and backups, which Pachyderm's API has no words for.

Read next: wire/proto/pachlet/v1/storage.proto, pachlet/pfs/collecting.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.names import nanoseconds
from pachlet.api.stalls import unless_stalled
from pachlet.config import DataDir
from pachlet.errors import Corrupt, InvalidArgument
from pachlet.metadb.connect import Database
from pachlet.pfs.backing_up import Part, plan_backup
from pachlet.pfs.collecting import GRACE, SLACK, Collector, Progress, Report
from pachlet.pfs.usage import RepoUsage, Totals, disk_usage
from pachlet.storage.chunks import ChunkStore

_BLOCK = 1 << 20


class StorageService:
    """Answers pachlet.v1.Storage."""

    def __init__(self, paths: DataDir, database: Database, store: ChunkStore) -> None:
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


def _step(step: Progress | Report) -> Any:
    if isinstance(step, Report):
        return messages.make("pachlet.v1.CollectGarbageResponse", report=_report(step))
    progress = messages.make("pachlet.v1.Progress", step=step.step, done=step.done, total=step.total)
    return messages.make("pachlet.v1.CollectGarbageResponse", progress=progress)


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
