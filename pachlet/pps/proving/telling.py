"""What a proof has to tell: of each file, of steps, of commits, and how far it is.

Read next: proving.py (who tells), ../../api/proof_service.py (who listens).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from pachlet.pfs.records import CommitRecord


class Verdict(StrEnum):
    """What became of a file that was made again."""

    IDENTICAL = "identical"
    DIFFERS = "differs"
    NOT_COMPARABLE = "not-comparable"
    """It differs, and so does what it was made on."""
    UNVERIFIED = "unverified"
    """It could not be made again."""


SEVERITY = (Verdict.IDENTICAL, Verdict.NOT_COMPARABLE, Verdict.UNVERIFIED, Verdict.DIFFERS)
"""Of a file that several datums wrote, the last of theirs is the file's."""


@dataclass(frozen=True)
class FileVerdict:
    """Of one file."""

    commit: CommitRecord
    path: str
    verdict: Verdict
    reason: str = ""
    datum: str = ""
    job: str = ""
    """That ran the datum."""


@dataclass(frozen=True)
class StepVerdict:
    """Of a step whose output was not what is stored, and that was run once more for that."""

    project: str
    pipeline: str
    version: int
    digest: str
    """Of its image."""
    is_deterministic: bool
    """Whether it gave the same both times here."""
    datum: str
    path: str
    """What it gave otherwise the second time, if anything."""


@dataclass(frozen=True)
class CommitVerdict:
    """Of a commit, once all of it is told."""

    commit: CommitRecord
    counts: Counter[Verdict]
    datums: int = 0
    reason: str = ""
    """Why none of it runs."""
    is_trouble: bool = False
    """Whether something of it should have run."""


@dataclass
class News:
    """What there is to tell since the last time."""

    files: list[FileVerdict] = field(default_factory=list)
    steps: list[StepVerdict] = field(default_factory=list)
    commits: list[CommitVerdict] = field(default_factory=list)
    done: int = 0
    """Datums, of all."""
    total: int = 0
    seconds_left: float | None = None

    def __bool__(self) -> bool:
        return bool(self.files or self.steps or self.commits)
