"""Wait for jobs while showing how far they are.

The end of the wait is an event (the server says when the last commit of a set is finished); the counts in
between are asked for now and then, for a display only. So waiting ends at once when the work does, whatever
the interval.

Read next: jobs.py; cli/progress.py shows what is seen here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pachlet.client import names
from pachlet.client.commits import inspect_commit, wait_commitset
from pachlet.client.connection import Connection, Message
from pachlet.client.jobs import KILLED, SUCCESS, inspect_jobset, is_terminal, list_job, state_of
from pachlet.errors import FailedPrecondition

INTERVAL = 0.5  # seconds between two looks at the counts

Show = Callable[[Sequence[Message]], None]


class Outcome(NamedTuple):
    """How one job went: the counts that a user asks for, and why if it did not go well."""

    project: str
    pipeline: str
    job: str
    state: str
    processed: int
    skipped: int
    failed: int
    recovered: int
    total: int
    reason: str

    @property
    def succeeded(self) -> bool:
        return self.state == SUCCESS


def outcome(info: Message) -> Outcome:
    """Return how a job is going or went."""
    return Outcome(
        project=info.job.pipeline.project.name,
        pipeline=info.job.pipeline.name,
        job=info.job.id,
        state=state_of(info),
        processed=info.data_processed,
        skipped=info.data_skipped,
        failed=info.data_failed,
        recovered=info.data_recovered,
        total=info.data_total,
        reason=info.reason,
    )


def head_of(connection: Connection, commit: str) -> str:
    """Return the id of a closed commit, such as the one that a put has just made.

    An open one is refused: waiting for it would last until somebody finishes it.
    """
    info = inspect_commit(connection, commit)
    if not info.HasField("finishing") and not info.HasField("finished") and not info.direct_provenance:
        shown = names.show_commit(info.commit)
        raise FailedPrecondition(
            f"commit {shown} is open, so nothing downstream has started",
            hint=f"pachctl finish commit {shown}",
        )
    return str(info.commit.id)


def wait_for(
    connection: Connection, identifiers: Iterable[str], *, show: Show | None = None
) -> list[Outcome]:
    """Wait until every commit and job of the sets is finished; return how each job went, upstream first."""
    waited = list(dict.fromkeys(identifiers))

    def jobs() -> list[Message]:
        return [info for identifier in waited for info in inspect_jobset(connection, identifier)]

    def finish() -> None:
        for identifier in waited:
            wait_commitset(connection, identifier)

    _look_until(finish, lambda: (show or _silent)(jobs()))
    last = jobs()
    (show or _silent)(last)
    return [outcome(info) for info in last]


def wait_until_idle(
    connection: Connection, projects: Sequence[str], *, show: Show | None = None
) -> list[Outcome]:
    """Wait until no pipeline of the projects has anything left to do; return how the jobs waited for went.

    A job that was killed because its pipeline was updated, and whose work a later one did, is left out.
    """
    outcomes: dict[tuple[str, str, str], Outcome] = {}
    while unfinished := _unfinished(connection, projects):
        for result in wait_for(connection, unfinished, show=show):
            outcomes[result.project, result.pipeline, result.job] = result
    newest = {(each.project, each.pipeline): each.job for each in outcomes.values()}
    return [
        each
        for each in outcomes.values()
        if each.state != KILLED or newest[each.project, each.pipeline] == each.job
    ]


def _unfinished(connection: Connection, projects: Sequence[str]) -> list[str]:
    wanted = set(projects)
    every = list_job(connection, details=False, all_projects=True)
    open_jobs = [info for info in every if info.job.pipeline.project.name in wanted and not is_terminal(info)]
    return list(dict.fromkeys(info.job.id for info in reversed(open_jobs)))


def _look_until(finish: Callable[[], None], look: Callable[[], None]) -> None:
    """Run `finish` in a thread of its own and `look` now and then until it is done; pass on its error."""
    done = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            finish()
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    # A daemon, so that Ctrl-C ends the process although the server has not answered yet.
    threading.Thread(target=run, daemon=True).start()
    look()
    while not done.wait(INTERVAL):
        look()
    if errors:
        raise errors[0]


def _silent(_: Sequence[Message]) -> None:
    return
