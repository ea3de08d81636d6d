"""Start, finish, inspect, list, wait for, follow, find, squash and drop commits and commit sets.

Commits with one id across repos are a commit set: what one change set off. Waiting happens in the server
(InspectCommit and InspectCommitSet block), so nothing here polls.

Read next: watch.py (waiting with a view of the jobs), put_file.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from pachlet.client import names
from pachlet.client.authorship import add_marks, header
from pachlet.client.cluster import is_pachlet
from pachlet.client.connection import Connection, Message

SERVICE = "pfs_v2.API"


def start_commit(connection: Connection, branch: str, *, parent: str = "", description: str = "") -> Message:
    """Open a commit on a branch and return its name; `parent` is an id or branch of the same repo."""
    request = {"branch": names.branch(connection.project, branch), "description": description}
    if parent:
        full = parent if "@" in parent else f"{branch.partition('@')[0]}@{parent}"
        request["parent"] = names.commit(connection.project, full)
    made = connection.call(SERVICE, "StartCommit", request, metadata=header())
    if not connection.transaction and not is_pachlet(connection):
        add_marks(connection, f"{branch.partition('@')[0]}@{made.id}")
    return made


def finish_commit(
    connection: Connection, commit: str, *, description: str = "", error: str = "", force: bool = False
) -> None:
    """Close a commit; with `error`, mark it as one that nothing should be built on."""
    request = {
        "commit": names.commit(connection.project, commit),
        "description": description,
        "error": error,
        "force": force,
    }
    connection.call(SERVICE, "FinishCommit", request)


def inspect_commit(connection: Connection, commit: str, *, wait: str = "STARTED") -> Message:
    """Return a CommitInfo, once the commit has reached the state `wait`."""
    request = {"commit": names.commit(connection.project, commit), "wait": wait}
    return connection.call(SERVICE, "InspectCommit", request)


def wait_commit(connection: Connection, commit: str) -> Message:
    """Return a CommitInfo once the commit is finished."""
    return inspect_commit(connection, commit, wait="FINISHED")


def list_commit(
    connection: Connection,
    repo: str = "",
    *,
    to: str = "",
    since: str = "",
    number: int = 0,
    reverse: bool = False,
    all: bool = False,
    origin: str = "ORIGIN_KIND_UNKNOWN",
) -> Iterator[Message]:
    """Yield a CommitInfo for each commit of a repo, newest first.

    `to` and `since` bound the walk through the parents: both are ids or branches of the repo, `since` is left
    out.
    """
    request = {
        "repo": names.repo(connection.project, repo) if repo else {},
        "number": number,
        "reverse": reverse,
        "all": all,
        "origin_kind": origin,
    }
    if to:
        request["to"] = names.commit(connection.project, f"{repo}@{to}")
    if since:
        request["from"] = names.commit(connection.project, f"{repo}@{since}")
    yield from connection.call(SERVICE, "ListCommit", request)


def subscribe_commit(
    connection: Connection,
    repo: str,
    *,
    branch: str = "",
    since: str = "",
    state: str = "STARTED",
    all: bool = False,
    origin: str = "ORIGIN_KIND_UNKNOWN",
) -> Iterator[Message]:
    """Yield a CommitInfo for each commit so far and then for each new one; it never ends by itself."""
    request = {
        "repo": names.repo(connection.project, repo),
        "branch": branch,
        "state": state,
        "all": all,
        "origin_kind": origin,
    }
    if since:
        request["from"] = names.commit(connection.project, f"{repo}@{since}")
    yield from connection.call(SERVICE, "SubscribeCommit", request)


def inspect_commitset(connection: Connection, identifier: str, *, wait: bool = False) -> Iterator[Message]:
    """Yield a CommitInfo for each commit of a set, upstream first; with `wait`, each when it is finished."""
    yield from connection.call(SERVICE, "InspectCommitSet", {"commit_set": {"id": identifier}, "wait": wait})


def wait_commitset(connection: Connection, identifier: str) -> list[Message]:
    """Return the set's CommitInfos once all are finished."""
    return list(inspect_commitset(connection, identifier, wait=True))


def list_commitset(connection: Connection, *, all_projects: bool = False) -> Iterator[Message]:
    """Yield a CommitSetInfo for each commit set, newest first."""
    request = {} if all_projects else {"project": names.project(connection.project)}
    yield from connection.call(SERVICE, "ListCommitSet", request)


def find_commits(
    connection: Connection, file: str, *, limit: int = 0, timeout: float | None = None
) -> Iterator[Message]:
    """Yield a FindCommitsResponse for each commit that touched a file, going back from the one named, and a
    last one that says how far the search came."""
    named = names.file(connection.project, file)
    request = {"start": named["commit"], "file_path": named["path"], "limit": limit}
    yield from connection.call(SERVICE, "FindCommits", request, timeout=timeout)


def last_change(connection: Connection, file: str) -> str:
    """Return the id of the nearest commit that changed a file, going back from the one named, or ""."""
    answers = find_commits(connection, file, limit=1)
    return next((each.found_commit.id for each in answers if each.HasField("found_commit")), "")


def squash_commit(connection: Connection, commit: str, *, recursive: bool = False) -> None:
    """Delete one commit, keeping its data in its children; with `recursive`, what depends on it, too."""
    request = {"commit": names.commit(connection.project, commit), "recursive": recursive}
    connection.call(SERVICE, "SquashCommit", request)


def drop_commit(connection: Connection, commit: str, *, recursive: bool = False) -> None:
    """Delete one commit with its data; with `recursive`, what depends on it, too."""
    request = {"commit": names.commit(connection.project, commit), "recursive": recursive}
    connection.call(SERVICE, "DropCommit", request)


def squash_commitset(connection: Connection, identifier: str) -> None:
    """Delete all commits of a set, keeping their data in their children."""
    connection.call(SERVICE, "SquashCommitSet", {"commit_set": {"id": identifier}})


def drop_commitset(connection: Connection, identifier: str) -> None:
    """Delete all commits of a set with their data."""
    connection.call(SERVICE, "DropCommitSet", {"commit_set": {"id": identifier}})
