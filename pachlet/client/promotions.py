"""Promote a commit: move a branch that others read to it, keep who did so and why, and be able to go back.

Promotion is nothing but a branch's head that moves, as in Pachyderm: `champions@live` is what the pipelines downstream
read, and each move is kept as metadata of the branch, a key a move. So the record is where the branch is, any client
can read it, and it works on every server that keeps metadata (Pachyderm from 2.11); one that does not moves the branch
all the same. A branch that a pipeline writes is refused: its head is computed, not chosen.

Read next: branches.py, metadata.py, cli/verbs/promote.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pachlet.client import names
from pachlet.client.authorship import author, header
from pachlet.client.branches import SERVICE, inspect_branch
from pachlet.client.commits import inspect_commit
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import list_datum
from pachlet.client.files import diff_file, walk_file
from pachlet.client.jobs import list_job
from pachlet.client.metadata import edit_metadata, pick_repo
from pachlet.client.pipelines import list_pipeline, pfs_inputs
from pachlet.errors import FailedPrecondition, InvalidArgument, NotFound, PachletError, Refused, Unimplemented

PREFIX = "promotion-"


@dataclass(frozen=True)
class Promotion:
    """One move of a branch."""

    number: int
    kind: str
    """`promote` or `rollback`."""
    head: str
    """The commit that the branch was moved to."""
    before: str
    """The one that it was at, or ""."""
    by: str
    at: str
    why: str


def history(info: Message) -> list[Promotion]:
    """Return the moves that a BranchInfo's metadata tells of, oldest first; what else is kept there is left out."""
    found = []
    for key, value in info.metadata.items():
        try:
            kept = json.loads(value)
            number = int(key.removeprefix(PREFIX))
            if key.startswith(PREFIX):
                found.append(Promotion(number=number, **{name: str(kept[name]) for name in _KEPT}))
        except (ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda each: each.number)


_KEPT = ("kind", "head", "before", "by", "at", "why")


def earlier(moves: Iterable[Promotion], head: str) -> str:
    """Return the commit to go back to from a head: of the moves that were not taken back, the one before; or ""."""
    stack: list[str] = []
    for move in moves:
        if move.before and move.before not in stack[-1:]:  # the first, or moved meanwhile without a record
            stack.append(move.before)
        if move.kind == "rollback" and move.head in stack:
            while stack[-1] != move.head:  # the last time that it was there: it may have been before, too
                stack.pop()
        else:
            stack.append(move.head)
    while stack and stack[-1] == head:
        stack.pop()
    return stack[-1] if stack else ""


def find_branch(connection: Connection, branch: str) -> Message | None:
    """Return a BranchInfo, or None if there is no such branch yet.

    Raises:
        Refused: a pipeline or another branch decides where it points.
    """
    try:
        info = inspect_branch(connection, branch)
    except NotFound:
        return None
    if info.direct_provenance:
        raise Refused(
            f"{branch} follows other branches, so its head is computed and can't be chosen",
            hint="promote to a branch of its own, such as live, and let what is downstream read that",
        )
    return info


def find_commit(connection: Connection, commit: str) -> Message:
    """Return the CommitInfo of what is to be promoted: finished, and no job failed on it."""
    info = inspect_commit(connection, commit)
    shown = names.show_commit(info.commit)
    if info.error:
        raise FailedPrecondition(f"{shown} can't be promoted: {info.error}", hint="promote one that is whole")
    if not info.HasField("finished"):
        raise FailedPrecondition(f"{shown} is not finished", hint=f"pachctl wait commit {shown}")
    return info


def move(
    connection: Connection, branch: str, info: Message | None, head: str, kind: str, why: str, at: str
) -> Promotion:
    """Move a branch (whose BranchInfo is given, if it is there) to a commit and keep why.

    Raises:
        Unimplemented: it is moved, but the server keeps no metadata, so neither the reason.
    """
    moves = history(info) if info is not None else []
    made = Promotion(
        number=(moves[-1].number if moves else 0) + 1,
        kind=kind,
        head=head,
        before=info.head.id if info is not None else "",
        by=author(),
        at=at,
        why=why,
    )
    repo = branch.partition("@")[0]
    named = names.branch(connection.project, branch)
    request: dict[str, Any] = {"branch": named, "head": names.commit(connection.project, f"{repo}@{head}")}
    if info is not None and info.HasField("trigger"):
        request["trigger"] = info.trigger  # creating a branch replaces its trigger
    connection.call(SERVICE, "CreateBranch", request, metadata=header(message=why))
    kept = {name: asdict(made)[name] for name in _KEPT}
    target = {"name": {"repo": pick_repo(connection.project, repo), "name": named["name"]}}
    pair = {"key": f"{PREFIX}{made.number:04}", "value": json.dumps(kept, sort_keys=True, ensure_ascii=False)}
    try:
        edit_metadata(connection, [{"branch": target, "add_key": pair}])
    except (Unimplemented, InvalidArgument) as error:
        raise Unimplemented(
            f"{branch} is moved, but the server did not keep the reason: {error.message}",
            hint="metadata of branches is there from Pachyderm 2.11 on; until then note it elsewhere",
        ) from None
    return made


@dataclass(frozen=True)
class Rerun:
    """What a move would do in one pipeline that reads the branch."""

    pipeline: str
    datums: int
    """Datums of its newest job that read a file that is different."""
    total: int
    unread: int
    """Files that differ and are in no datum yet: new ones, which make datums or get into some, if the globs say so."""
    is_never: bool
    """It does not start by itself for this input (`propagation_spec`)."""


@dataclass(frozen=True)
class Foreseen:
    """What a move would do."""

    changed: list[str]
    """The files that differ, by path."""
    direct: list[Rerun]
    after: list[str]
    """Pipelines further downstream: they run where the output of those before them is different."""


def foresee(connection: Connection, branch: str, head: str, before: str) -> Foreseen:
    """Say what moving a branch from one commit to another would run; nothing is changed."""
    repo = branch.partition("@")[0]
    changed = sorted(_changed(connection, repo, head, before))
    infos = list(list_pipeline(connection, all_projects=True))
    key = _place(connection, branch)
    touched = {path: {path, *_folders(path)} for path in changed}
    anywhere = set[str]().union(*touched.values())
    direct = []
    for pipeline, part in _reading(infos, key).items():
        datums = list(_datums(connection, pipeline, key[:2]))
        hit = sum(not read.isdisjoint(anywhere) for read in datums)
        known = set[str]().union(*datums)
        unread = sum(places.isdisjoint(known) for places in touched.values())
        direct.append(Rerun(pipeline, hit, len(datums), unread, bool(part.propagation_spec.never)))
    return Foreseen(changed, direct, _further(infos, {each.pipeline for each in direct}))


def readers_of(connection: Connection, branch: str) -> list[str]:
    """Return the pipelines that read a branch."""
    infos = list_pipeline(connection, all_projects=True)
    return list(_reading(infos, _place(connection, branch)))


def _place(connection: Connection, branch: str) -> tuple[str, str, str]:
    named = names.branch(connection.project, branch)
    return named["repo"]["project"]["name"], named["repo"]["name"], named["name"]


def _reading(infos: Iterable[Message], key: tuple[str, str, str]) -> dict[str, Message]:
    """Return the input by which each pipeline that reads a branch does so."""
    return {
        names.show_pipeline(info.pipeline): part
        for info in infos
        for part in pfs_inputs(info.details.input)
        if _key(info, part) == key
    }


def _changed(connection: Connection, repo: str, head: str, before: str) -> Iterator[str]:
    """Yield the path of each file that is not the same in both commits."""
    if before:
        found = diff_file(connection, f"{repo}@{head}:/", f"{repo}@{before}:/")
        paths = (each.new_file.file.path or each.old_file.file.path for each in found)
    else:
        paths = (each.file.path for each in walk_file(connection, f"{repo}@{head}:/"))
    yield from (path for path in paths if not path.endswith("/"))


def _folders(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path or "/"


def _key(info: Message, part: Message) -> tuple[str, str, str]:
    return part.project or info.pipeline.project.name, part.repo, part.branch or "master"


def _datums(connection: Connection, pipeline: str, repo: tuple[str, str]) -> Iterator[set[str]]:
    """Yield what each datum of a pipeline's newest job reads of a repo, by path."""
    job = next(list_job(connection, pipeline, number=1, details=False), None)
    for datum in list_datum(connection, names.show_job(job.job)) if job is not None else ():
        files = [each.file for each in datum.data]
        yield {
            each.path if each.path == "/" else each.path.rstrip("/")
            for each in files
            if (each.commit.repo.project.name, each.commit.repo.name) == repo
        }


def _further(infos: list[Message], above: set[str]) -> list[str]:
    """Return the pipelines downstream of some, nearest first."""
    reads = {
        names.show_pipeline(info.pipeline): {
            f"{project}/{repo}"
            for project, repo, _ in (_key(info, part) for part in pfs_inputs(info.details.input))
        }
        for info in infos
    }
    found: list[str] = []
    reached = set(above)
    while fresh := sorted(name for name, inputs in reads.items() if name not in reached and inputs & reached):
        found += fresh
        reached |= set(fresh)
    return found


def sets_since(connection: Connection, pipelines: Iterable[str], before: dict[str, str]) -> list[str]:
    """Return the job sets that pipelines began since their newest jobs were those of `before`."""
    now = newest_jobs(connection, pipelines)
    return list(dict.fromkeys(id for name, id in now.items() if id and before.get(name) != id))


def newest_jobs(connection: Connection, pipelines: Iterable[str]) -> dict[str, str]:
    """Return the id of each pipeline's newest job, or ""."""
    found = {}
    for name in pipelines:
        try:
            job = next(list_job(connection, name, number=1, details=False), None)
        except PachletError:
            job = None
        found[name] = job.job.id if job is not None else ""
    return found
