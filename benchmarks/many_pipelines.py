"""What a datum, a commit and a job cost the engine beside ten pipelines, a hundred, five hundred.

    python -m benchmarks.many_pipelines [--pipelines 10,100,500]

There is a server for each number, and all are asked in turns, so that whatever else the machine does falls on each of
them. The steps take no time (instant_steps.py): what is left is what the engine does to plan, schedule and record.
The processor time is that of the server.

Read next: crowd.py, listing_pps.py.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.comparing import verdict
from benchmarks.crowd import create, processor_seconds, put_files, spec, wait_for_head
from benchmarks.instant_steps import serving_instantly
from benchmarks.serving import Serving, timed
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection

ROUNDS = 5
DATUMS = 1000
COMMITS = 10
JOBS = 500


@dataclass(frozen=True)
class Crowd:
    """A server with a number of pipelines."""

    pipelines: int
    server: Serving
    connection: Connection
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    """For names of files that are not there yet."""

    def datums(self) -> None:
        """Run a number of new datums in one job of one pipeline."""
        number = next(self.numbers)
        repos.create_repo(self.connection, f"many-{number}")
        put_files(self.connection, f"many-{number}", 0, DATUMS)
        create(self.connection, f"large-{number}", f"many-{number}")

    def commits(self) -> None:
        """Make commits one after the other, each with a job of one datum below it."""
        for _ in range(COMMITS):
            put_files(self.connection, "one", next(self.numbers), 1)
            wait_for_head(self.connection, "one")

    @property
    def fans(self) -> int:
        """How many commits above every pipeline make as many jobs as in the other crowds, at least."""
        return max(1, JOBS // self.pipelines)

    def fan(self) -> None:
        """Make commits above every pipeline, one after the other.

        In each crowd there are as many jobs: what follows the last of them (logs that are written, sessions that are
        closed) is no longer waited for, and must not be left out of a few jobs and counted in many.
        """
        for _ in range(self.fans):
            put_files(self.connection, "in", next(self.numbers), 1)
            wait_for_head(self.connection, "in")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="See what pipelines cost that have nothing to do.")
    parser.add_argument("--pipelines", default="10,100,500")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pachlet-bench-")))
        crowds = []
        for number in map(int, arguments.pipelines.split(",")):
            server = stack.enter_context(serving_instantly(folder / str(number)))
            connection = stack.enter_context(Connection(server.address))
            crowds.append(Crowd(number, server, connection))
            took = timed(lambda: fill(crowds[-1]))
            print(
                f"{number} pipelines created in {took:.1f} s, {took / number * 1e3:.1f} ms each", flush=True
            )
        compare("a datum", crowds, Crowd.datums, lambda crowd: DATUMS)
        compare("a commit and its job", crowds, Crowd.commits, lambda crowd: COMMITS)
        compare("a job of a commit above all", crowds, Crowd.fan, lambda crowd: crowd.pipelines * crowd.fans)


def fill(crowd: Crowd) -> None:
    """Make the pipelines: all read the repo `in` but one, which reads `one`."""
    for name in ("in", "one"):
        repos.create_repo(crowd.connection, name)
    for number in range(crowd.pipelines - 1):
        pipelines.create_pipeline(crowd.connection, spec(f"p{number:03}", "in"))
    create(crowd.connection, "one-p", "one")


def compare(
    what: str, crowds: list[Crowd], act: Callable[[Crowd], None], pieces: Callable[[Crowd], int]
) -> None:
    """Print what a piece of work costs in each crowd, and whether that is flat."""
    times: dict[int, list[float]] = {each.pipelines: [] for each in crowds}
    busy: dict[int, list[float]] = {each.pipelines: [] for each in crowds}
    for _ in range(ROUNDS):
        for crowd in crowds:
            before = processor_seconds(crowd.server.process)
            times[crowd.pipelines].append(timed(lambda: act(crowd)) / pieces(crowd) * 1e3)  # noqa: B023
            busy[crowd.pipelines].append(
                (processor_seconds(crowd.server.process) - before) / pieces(crowd) * 1e3
            )
    for found, unit in ((times, "ms"), (busy, "ms of a processor")):
        medians = [statistics.median(found[each.pipelines]) for each in crowds]
        growth = medians[-1] / min(medians)
        print(
            f"{what:<30} {' '.join(f'{each:>8.2f}' for each in medians)} {unit:<18} "
            f"{growth:.2f} of the least   target <= 1.50: {verdict(growth <= 1.5)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
