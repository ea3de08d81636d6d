"""Read names out of requests: which repo, branch, commit or pipeline a message means.

A project that is missing is "default". A commit's repo may stand in `repo` (2.8 and later) or in `branch.repo` (2.7).

Read next: messages.py (the way back).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pachlet.errors import InvalidArgument
from pachlet.metadb.connect import Transaction as Statements
from pachlet.paths import DEFAULT_PROJECT, USER, Branch, Repo
from pachlet.pfs.records import CommitRecord
from pachlet.pfs.resolving import resolve_commit
from pachlet.pfs.triggers import Trigger

NANOS = 1_000_000_000
_LONGEST_TIME = 2**62


def project_name(message: Any) -> str:
    """Return the project named by a pfs_v2.Project, or the default one."""
    return message.name or DEFAULT_PROJECT


def repo_name(message: Any, missing: str = "no repo specified") -> Repo:
    """Return the repo that a pfs_v2.Repo means."""
    if not message.name:
        raise InvalidArgument(missing)
    return Repo(project_name(message.project), message.name, message.type or USER)


def branch_name(message: Any) -> Branch:
    """Return the branch that a pfs_v2.Branch means."""
    if not message.HasField("repo"):
        raise InvalidArgument("branch repo cannot be nil")
    return Branch(repo_name(message.repo), message.name)


def at_most(number: int) -> int | None:
    """Return how many answers a request asks for; None is all."""
    if number < 0:
        raise InvalidArgument(f"number cannot be negative ({number})")
    return number or None


def nanoseconds(message: Any) -> int:
    """Return a Timestamp or Duration as the database keeps it, or the nearest time that it can keep."""
    time: int = message.seconds * NANOS + message.nanos
    return max(-_LONGEST_TIME, min(time, _LONGEST_TIME))


def trigger_of(message: Any) -> Trigger:
    """Return what a pfs_v2.Trigger says."""
    return Trigger(
        branch=message.branch,
        needs_all=message.all,
        rate_limit_spec=message.rate_limit_spec,
        size=message.size,
        commits=message.commits,
        cron_spec=message.cron_spec,
    )


@dataclass(frozen=True)
class CommitName:
    """What a request says of a commit: `id` may be an id, a branch or steps; `branch` is where steps start."""

    repo: Repo
    id: str
    branch: str

    def resolve(self, db: Statements) -> CommitRecord:
        """Return the commit."""
        return resolve_commit(db, self.repo, self.id, self.branch)


def commit_name(message: Any) -> CommitName:
    """Return what a pfs_v2.Commit says."""
    if message.HasField("repo"):
        repo = repo_name(message.repo)
    elif message.branch.HasField("repo"):
        repo = repo_name(message.branch.repo)
    else:
        raise InvalidArgument("commit must have a repo" if message.ByteSize() else "commit cannot be nil")
    return CommitName(repo, message.id, message.branch.name)


@dataclass(frozen=True, order=True)
class PipelineName:
    """A pipeline's project and name."""

    project: str
    name: str


def pipeline_name(message: Any) -> PipelineName:
    """Return the pipeline that a pps_v2.Pipeline means."""
    if not message.name:
        raise InvalidArgument("invalid pipeline spec: request.Pipeline.Name cannot be empty")
    return PipelineName(project_name(message.project), message.name)
