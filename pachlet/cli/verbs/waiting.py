"""Wait for what a change set off, and say per pipeline how it went.

This is the end of `put file --wait`, `wait commit` and `wait job`; it is no verb of its own. It works on any
server.

Read next: pachlet/client/watch.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pachlet.cli.session import Session
from pachlet.client.connection import Message
from pachlet.errors import PachletError

if TYPE_CHECKING:
    from pachlet.client.watch import Outcome


def refuse_failed(infos: Iterable[Message]) -> None:
    """Upstream ends with status 0 whatever the commit came to; whoever waits before the next step should notice."""
    for info in infos:
        if info.error:
            raise PachletError(f"commit {info.commit.repo.name}@{info.commit.id} failed: {info.error}")


def wait_for_set(session: Session, identifier: str) -> list[Outcome]:
    """Wait for a commit set while showing its jobs; return how each went."""
    from pachlet.client.watch import wait_for

    return wait_for(session.connection, [identifier], show=session.progress.jobs)


def report(session: Session, outcomes: Sequence[Outcome]) -> int:
    """Print a line for each job; return the exit status: 1 if any job did not succeed."""
    from pachlet.client.kept import said_of_job
    from pachlet.client.logs import failure_lines

    session.progress.close()
    if not outcomes:
        session.print("no pipeline reads this")
    failed = False
    for each in outcomes:
        recovered = f", recovered {each.recovered}" if each.recovered else ""
        counts = f"processed {each.processed}, skipped {each.skipped}, failed {each.failed}{recovered}"
        first, *more = said_of_job(session.connection, each) if each.skipped else [""]
        session.print(f"{each.pipeline}: {counts}{first and '; '}{first}")
        for line in more:
            session.say(f"{each.pipeline}: {line}")
        if not each.succeeded:
            failed = True
            state = each.state.removeprefix("JOB_").lower()
            for line in failure_lines(session.connection, f"{each.project}/{each.pipeline}@{each.job}"):
                session.say(f"  | {line}")
            logs = f"{session.program} logs --project {each.project} --job {each.pipeline}@{each.job}"
            session.say(f"{each.pipeline}: {state}: {each.reason or 'no reason given'}; see `{logs}`")
    return 1 if failed else 0


def say_kept(session: Session, outcomes: Sequence[Outcome]) -> None:
    """Say beside a result what each job kept, and who made it."""
    from pachlet.client.kept import said_of_job

    for each in outcomes:
        for line in said_of_job(session.connection, each) if each.skipped else ():
            session.say(f"{each.pipeline}: {line}")
