"""pachlet.v1.Lineage: what a file was made of, and what was made of it.

Read next: wire/proto/pachlet/v1/lineage.proto, pachlet/pps/lineage.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.api import messages
from pachlet.api.handlers import Context
from pachlet.api.names import commit_name
from pachlet.errors import InvalidArgument
from pachlet.metadb.connect import Database
from pachlet.metadb.stored_json import read_json
from pachlet.paths import clean_path
from pachlet.pfs.files import Files
from pachlet.pfs.marks import AUTHOR
from pachlet.pfs.records import USER, CommitRecord
from pachlet.pps.lineage import FileNode, Lineage, RunNode, commits_behind


class LineageService:
    """Answers pachlet.v1.Lineage."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def Trace(self, request: Any, context: Context) -> Any:
        if not request.HasField("file"):
            raise InvalidArgument("must specify a file")
        with self._database.read() as db:
            record = commit_name(request.file.commit).resolve(db)
            walk = Lineage(db, self._files, request.limit)
            graph = walk.trace(record, clean_path(request.file.path or "/"), down=request.down)
            found = commits_behind(db, graph)
        return messages.make(
            "pachlet.v1.TraceResponse",
            files=[_file(each) for each in graph.files],
            runs=[_run(each) for each in graph.runs],
            commits=[_commit(each) for each in found],
            is_cut=graph.is_cut,
        )


def _file(node: FileNode) -> Any:
    return messages.make(
        "pachlet.v1.TracedFile",
        file=messages.make("pfs_v2.File", commit=messages.commit(node.commit, ""), path=node.path),
        size_bytes=node.size,
        hash=node.hash,
        runs=node.runs,
        not_shown=node.not_shown,
        has_more=node.has_more,
        holds=node.holds,
        is_gone=node.is_gone,
        put_in=node.put_in,
        held_since=node.held_since,
        purged=node.purged,
    )


def _run(node: RunNode) -> Any:
    return messages.make(
        "pachlet.v1.TracedRun",
        project=node.repo.project,
        pipeline=node.repo.name,
        job=node.job,
        datum=node.datum,
        record_json=node.record,
        files=node.files,
        not_shown=node.not_shown,
        job_started=messages.timestamp(node.started),
        job_finished=messages.timestamp(node.finished),
    )


def _commit(record: CommitRecord) -> Any:
    """Return a pfs_v2.CommitInfo of what a trace tells of a commit: not what is next to it."""
    metadata = read_json(record.metadata)
    return messages.make(
        "pfs_v2.CommitInfo",
        commit=messages.commit_of(record),
        origin=messages.make("pfs_v2.CommitOrigin", kind=1 if record.origin == USER else 2),
        description=record.description,
        started=messages.timestamp(record.started),
        finished=messages.timestamp(record.finished),
        error=record.error,
        metadata=metadata,
        created_by=metadata.get(AUTHOR, ""),
    )
