"""The champions that are shown: verdicts are proposed as commits of a repo, and a branch says which one counts.

Each verdict of `compare` becomes a commit of repo `champions`; predict reads branch `live` of that. The repo is one of
its own because a pipeline may not read two branches of one repo, not even by way of other pipelines, and predict reads
what `compare` was made from. Moving the branch promotes or takes back; the first time it is set here.

Read next: main_job.py (who asks), ../steps/crypto/verdict.py (what a verdict is).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pachlet.cli.progress import Progress
from pachlet.client import branches, files, watch
from pachlet.client.apply import Applied
from pachlet.client.connection import Connection
from pachlet.client.get_file import get_bytes
from pachlet.client.watch import Outcome

REPO = "champions"
LIVE = f"{REPO}@live"
VERDICTS = "compare@master:/champions/"


def settle(
    connection: Connection,
    projects: Sequence[str],
    apply: Callable[[bool], list[Applied]],
    progress: Progress,
    start: Callable[[], object] = lambda: None,
) -> tuple[list[Applied], list[Outcome]]:
    """Apply the pipelines, start what has to be started, wait, and propose the new verdicts.

    As long as there are no champions, `apply(True)` leaves out what reads them; the first verdict is then promoted, and
    `apply(False)` brings the rest. Nothing is proposed if a job failed.
    """
    first = files.find_file(connection, f"{LIVE}:/champions/") is None
    applied = apply(first)
    start()
    outcomes = watch.wait_until_idle(connection, projects, show=progress.jobs)
    if not all(each.succeeded for each in outcomes):
        return applied, outcomes
    propose(connection, progress)
    if first and files.find_file(connection, f"{REPO}@master:/champions/") is not None:
        branches.create_branch(connection, LIVE, head="master")
        progress.line(f"{connection.project}/{LIVE}: the first champions; others once this branch is moved")
        applied += apply(False)
        outcomes += watch.wait_until_idle(connection, projects, show=progress.jobs)
    return applied, outcomes


def none_yet(connection: Connection, progress: Progress) -> bool:
    """Tell whether nobody was ever promoted, which is so if there is no coin to forecast; say why, and what to do."""
    if files.find_file(connection, f"{LIVE}:/champions/") is not None:
        return False
    rejected = json.loads(get_bytes(connection, "audit@master:/rejected.json"))["coins"]
    progress.line("there is no coin to forecast:")
    for coin in rejected:
        progress.line(f"  {coin['file']}: {coin['detail']}")
    progress.line("  next: put price files that can be read, with sixty days or more, and type it again")
    return True


def propose(connection: Connection, progress: Progress) -> None:
    """Make the newest verdicts a commit of repo champions, unless its newest is that already."""
    proposed = f"{REPO}@master:/champions/"
    found, known = files.find_file(connection, VERDICTS), files.find_file(connection, proposed)
    if found is not None and (known is None or known.hash != found.hash):
        files.copy_file(connection, VERDICTS, proposed)
        progress.line(f"{connection.project}/{REPO}: new verdicts proposed")


def without_readers(specs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the pipelines that read the champions, and what reads those."""
    reads = {spec["pipeline"]["name"]: set(inputs_of(spec["input"])) for spec in specs}
    found = {REPO}
    while more := {name for name, inputs in reads.items() if inputs & found} - found:
        found |= more
    return [spec for spec in specs if spec["pipeline"]["name"] not in found]


def inputs_of(part: Any) -> Iterator[str]:
    """Yield the repos that an input reads."""
    if isinstance(part, list):
        for each in part:
            yield from inputs_of(each)
    elif "pfs" in part:
        yield part["pfs"]["repo"]
    elif "cron" not in part:
        for each in part.values():
            yield from inputs_of(each)
