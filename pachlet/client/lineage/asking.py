"""Ask for a graph: a pachlet server tells it in one answer (pachlet.v1.Lineage), any other is walked through.

Read next: walking.py, pachlet/pps/lineage.py (the server's side).
"""

from __future__ import annotations

import json
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.lineage.graph import Commit, File, Graph, Run
from pachlet.errors import Unimplemented

LIMIT = 3


def trace(connection: Connection, place: str, *, down: bool = False, limit: int = LIMIT) -> Graph:
    """Return what a place was made of or, `down`, what was made of it.

    A place is a file or folder `repo@commit:/path`, or a whole commit `repo@commit`, which may be that of a job. Of the
    datums behind a folder, and down, of those that read a file in one pipeline, only `limit` are followed: a report may
    gather hundreds. 0 is all.

    Raises:
        NotFound: there is no such file.
    """
    named = names.file(connection.project, place)
    named["path"] = named["path"] or "/"
    try:
        answer = connection.call("pachlet.v1.Lineage", "Trace", {"file": named, "down": down, "limit": limit})
    except Unimplemented:
        from pachlet.client.lineage.walking import walk

        return walk(connection, named, down=down, limit=limit)
    return Graph(
        is_down=down,
        files=[_file(each) for each in answer.files],
        runs=[_run(each) for each in answer.runs],
        commits={names.show_commit(each.commit): commit_of(each) for each in answer.commits},
        is_cut=answer.is_cut,
    )


def commit_of(info: Message) -> Commit:
    """Return what a CommitInfo says."""
    return Commit(
        started=time_of(info, "started"),
        finished=time_of(info, "finished"),
        message=info.description or info.metadata.get("message", ""),
        by_user=info.origin.kind == 1,
        metadata=dict(info.metadata),
    )


def _file(found: Message) -> File:
    where = found.file.commit
    return File(
        project=where.repo.project.name,
        repo=repo_word(where.repo),
        commit=where.id,
        path=found.file.path,
        size_bytes=found.size_bytes,
        hash=found.hash.hex(),
        runs=list(found.runs),
        not_shown=found.not_shown,
        has_more=found.has_more,
        holds=list(found.holds),
        is_gone=found.is_gone,
        put_in=found.put_in,
        held_since=list(found.held_since),
        purged=found.purged,
    )


def _run(found: Message) -> Run:
    run = Run(found.project, found.pipeline, found.job, found.datum)
    run.started, run.finished = time_of(found, "job_started"), time_of(found, "job_finished")
    run.files, run.not_shown = list(found.files), found.not_shown
    if found.record_json:
        run.read_record(json.loads(found.record_json))
    return run


def repo_word(repo: Any) -> str:
    """Return a repo's name, with its type if it is one of a pipeline's own."""
    return names.show_repo(repo).rpartition("/")[2]


def time_of(info: Message, field: str) -> str:
    """Return a time that a message tells, or nothing."""
    return str(getattr(info, field).ToJsonString()) if info.HasField(field) else ""
