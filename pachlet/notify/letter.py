"""Write what is said about a broken job set: a subject, a text for people, and the same as data for programs.

The text ends with what to type next, because a reason alone sends its reader to search. Nothing in it tells when it
was written: a letter about a set is the same whenever it is sent, and its id is the set's, so that a mail program or
the receiver of a webhook can tell a second copy from a second failure.

Read next: channels.py (how it gets there).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pachlet.notify.broken import Broken, FailedJob

SCHEMA = "pachlet.broken-job-set/1"

_UNRUNNABLE = "unrunnable"
_SUBJECT = 140
"""Characters of a subject, which mail programs show on one line."""


@dataclass(frozen=True)
class Letter:
    """What a channel delivers."""

    id: str
    subject: str
    text: str
    content: dict[str, Any]
    """The same for programs; it can be written as JSON."""


def letter_about(broken: Broken, link: str = "") -> Letter:
    """Write the letter about a broken set; `link` is the address of a page, with {id}, {project} and {pipeline}."""
    first = broken.jobs[0]
    place = _place(link, first) if link else broken.server
    return Letter(
        id=broken.id,
        subject=_subject(broken),
        text="\n".join(_lines(broken, place)) + "\n",
        content={
            "schema": SCHEMA,
            "job_set": broken.id,
            "server": broken.server,
            "link": place,
            "jobs": [_as_data(each) for each in broken.jobs],
            "also_failed": list(broken.more),
            "unrunnable": list(broken.unrunnable),
            "not_over": list(broken.going),
            "set_off_by": list(broken.causes),
        },
    )


def trial(server: str) -> Letter:
    """Write the letter that tries out the channels."""
    subject = f"[pachlet] a trial from {server}"
    text = "This is a trial: nothing is broken. Letters about broken job sets will arrive here.\n"
    return Letter("trial", subject, text, {"schema": "pachlet.trial/1", "server": server})


def debug_command(job: FailedJob) -> str:
    """Return the command that opens a shell where a datum of the job failed; "" if none did."""
    if not job.datum:
        return ""
    return (
        f"pachlet debug datum --project {shlex.quote(job.project)} {job.pipeline}@{job.id} {job.datum[:12]}"
    )


def logs_command(job: FailedJob) -> str:
    """Return the command that shows all that the job said."""
    return f"pachctl logs --project {shlex.quote(job.project)} -j {job.pipeline}@{job.id}"


def _subject(broken: Broken) -> str:
    first, others = broken.jobs[0], len(broken.jobs) + len(broken.more) - 1
    more = f" and {others} more" if others else ""
    verb = "could not run" if first.state == _UNRUNNABLE else "failed"
    line = " ".join(f"[pachlet] {first.name}{more} {verb}: {_reason(first) or first.state}".split())
    return line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 3]}..."


def _place(link: str, job: FailedJob) -> str:
    return link.replace("{id}", job.id).replace("{project}", job.project).replace("{pipeline}", job.pipeline)


def _lines(broken: Broken, place: str) -> Iterator[str]:
    yield f"Job set {broken.id} is broken."
    yield f"  where       {place}"
    for cause in broken.causes:
        yield f"  set off by  {cause}"
    for jobs in _alike(broken.jobs):
        yield ""
        job = jobs[0]
        datums = f", {job.failed} of {job.total} datums failed" if job.failed else ""
        yield f"{', '.join(each.name for each in jobs)}: {job.state}{datums}"
        yield f"  reason      {_reason(job) or 'the server gave none'}"
        yield from (f"  | {line}" for line in job.lines)
        if command := debug_command(job):
            yield f"  debug       {command}"
        yield f"  look        {logs_command(job)}"
    if broken.more:
        yield f"\nfailed as well: {', '.join(broken.more)}"
    if broken.unrunnable:
        yield f"\ncould not run because of it: {', '.join(broken.unrunnable)}"
    if broken.going:
        yield f"\nnot over yet: {', '.join(broken.going)}"


def _alike(jobs: Sequence[FailedJob]) -> Iterator[Sequence[FailedJob]]:
    """Put the jobs together that could not run for the same reason, so that it is said once."""
    groups: dict[str, list[FailedJob]] = {}
    for job in jobs:
        groups.setdefault(job.reason if job.state == _UNRUNNABLE else job.name, []).append(job)
    yield from groups.values()


def _reason(job: FailedJob) -> str:
    """Return the reason without the words that are said before it."""
    return job.reason.removeprefix(f"{_UNRUNNABLE} because ") if job.state == _UNRUNNABLE else job.reason


def _as_data(job: FailedJob) -> dict[str, Any]:
    return {
        "project": job.project,
        "pipeline": job.pipeline,
        "job": f"{job.pipeline}@{job.id}",
        "state": job.state,
        "reason": job.reason,
        "datums_failed": job.failed,
        "datums": job.total,
        "log": list(job.lines),
        "failed_datum": job.datum,
        "debug": debug_command(job),
        "logs": logs_command(job),
    }
