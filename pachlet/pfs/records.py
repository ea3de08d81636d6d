"""What the database holds of repos, branches and commits, as values.

A record is a snapshot: read it, use it, drop it; what may have changed since is read again by its key. Metadata is kept
as the JSON text that it is stored as.

Read next: transactions.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from pachlet.metadb.connect import Row
from pachlet.paths import Branch, Commit, Repo

USER = "user"
"""Origin of a commit that a client made."""
AUTO = "auto"
"""Origin of a commit that the engine made."""


@dataclass(frozen=True)
class RepoRecord:
    """A repo as stored."""

    key: int
    repo: Repo
    description: str
    created: int
    metadata: str

    @classmethod
    def of(cls, row: Row) -> RepoRecord:
        """Make a record of a row of `repos`."""
        repo = Repo(row["project"], row["name"], row["type"])
        return cls(row["key"], repo, row["description"], row["created"], row["metadata"])


@dataclass(frozen=True)
class BranchRecord:
    """A branch as stored; `head` is the key of a commit."""

    key: int
    branch: Branch
    repo_key: int
    head: int | None
    created: int
    updated: int
    metadata: str

    @classmethod
    def of(cls, row: Row) -> BranchRecord:
        """Make a record of a row of `branches` joined with its repo."""
        repo = Repo(row["project"], row["repo_name"], row["type"])
        return cls(
            key=row["key"],
            branch=Branch(repo, row["name"]),
            repo_key=row["repo"],
            head=row["head"],
            created=row["created"],
            updated=row["updated"],
            metadata=row["metadata"],
        )


@dataclass(frozen=True)
class CommitRecord:
    """A commit as stored; `parent` is the key of a commit, `root` that of its file tree."""

    key: int
    commit: Commit
    repo_key: int
    branch: str
    parent: int | None
    origin: str
    description: str
    started: int
    finishing: int | None
    finished: int | None
    error: str
    root: bytes | None
    size: int
    is_forgotten: bool
    metadata: str

    @classmethod
    def of(cls, row: Row) -> CommitRecord:
        """Make a record of a row of `commits` joined with its repo."""
        repo = Repo(row["project"], row["repo_name"], row["type"])
        return cls(
            key=row["key"],
            commit=Commit(repo, row["id"]),
            repo_key=row["repo"],
            branch=row["branch"],
            parent=row["parent"],
            origin=row["origin"],
            description=row["description"],
            started=row["started"],
            finishing=row["finishing"],
            finished=row["finished"],
            error=row["error"],
            root=row["root"],
            size=row["size"],
            is_forgotten=bool(row["is_forgotten"]),
            metadata=row["metadata"],
        )

    @property
    def is_open(self) -> bool:
        """Tell whether files can still be written to it."""
        return self.finishing is None
