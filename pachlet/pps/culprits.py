"""Say why a job can't run: the job that failed first, with its reason, and which of its inputs lack because of it.

A job that could not run itself is no cause. So what it lacked is asked in turn, up to the jobs that failed or were
stopped, or to a commit that nobody's job made. The sentence begins as Pachyderm's does, which names the direct inputs
alone.

Read next: scheduler.py (who ends such jobs), jobs.py.
"""

from __future__ import annotations

from pachlet.metadb.connect import Transaction as Statements
from pachlet.pfs import commits
from pachlet.pfs.records import CommitRecord
from pachlet.pps.jobs import JobRecord, failed_inputs
from pachlet.pps.states import JobState

_LONGEST = 300
"""So many characters of the first one's reason are repeated."""


def why_unrunnable(db: Statements, job: JobRecord) -> str:
    """Return the reason of a job that has failed inputs."""
    lacking = failed_inputs(db, commits.get_commit(db, job.output))
    first = min(_causes(db, lacking), key=lambda each: (each.finished or 0, each.key))
    others = sorted({str(each.commit.repo) for each in lacking} - {str(first.commit.repo)})
    at = "" if first.commit.id == job.id else f"@{first.commit.id}"
    named = f"{first.commit.repo}{at} ({_cut(first.error)})"
    return f"unrunnable because the following upstream pipelines failed: {', '.join([named, *others])}"


def _causes(db: Statements, lacking: list[CommitRecord]) -> list[CommitRecord]:
    """Return those of some failed commits, and of what they lacked in turn, that failed of themselves."""
    found, seen, left = [], set(), [*lacking]
    while left:
        commit = left.pop()
        if commit.key in seen:
            continue
        seen.add(commit.key)
        row = db.first("job_of_commit", commit=commit.key)
        behind = []
        if row is not None and row["state"] == JobState.UNRUNNABLE:
            behind = failed_inputs(db, commits.get_commit(db, row["output"]))
        if behind:
            left += behind
        else:  # its own fault, or what it lacked was deleted meanwhile
            found.append(commit)
    return found


def _cut(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
