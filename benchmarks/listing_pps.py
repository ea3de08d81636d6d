"""How long listings of PPS take in a server with hundreds of pipelines and a hundred thousand datums.

    python -m benchmarks.listing_pps [--pipelines 500] [--datums 50000]

All pipelines but two read one repo, whose commits make a job of each; the other two have a job of so many datums each.
The steps take no time (instant_steps.py), everything else is the engine as it is. Each listing is asked for as
clients ask for it, and timed until its last message; commands with the start of their process.

Read next: crowd.py, many_pipelines.py (what running costs).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.comparing import verdict
from benchmarks.crowd import create, put_files, spec, wait_for_head
from benchmarks.instant_steps import serving_instantly
from benchmarks.serving import Serving, timed
from pachlet.client import jobs, pipelines, repos
from pachlet.client.connection import Connection

PPS = "pps_v2.API"
LARGE = ("large-1", "large-2")
COMMITS = 3
ROUNDS = 7
TARGET = 0.2  # seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Time the listings of PPS.")
    parser.add_argument("--pipelines", type=int, default=500)
    parser.add_argument("--datums", type=int, default=50_000, help="of each of two jobs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as name:
        data_dir = Path(name) / "data"
        with serving_instantly(data_dir) as server, Connection(server.address) as connection:
            fill(connection, arguments.pipelines - len(LARGE), arguments.datums)
            print(f"memory {server.peak:.0f} MiB; stored {server.stored / 1e6:.0f} MB", flush=True)
            listings(connection)
            commands(server)
        began = timed(lambda: _start_and_stop(data_dir))
        print(f"{'start of the server, and stop':<58} {began * 1e3:>8.0f} ms")


def _start_and_stop(data_dir: Path) -> None:
    with serving_instantly(data_dir):
        pass


def fill(connection: Connection, small: int, datums: int) -> None:
    """Make the pipelines, their jobs and their datums."""
    repos.create_repo(connection, "in")
    created = timed(
        lambda: [pipelines.create_pipeline(connection, spec(f"p{n:03}", "in")) for n in range(small)]
    )
    print(f"{small} pipelines created in {created:.1f} s", flush=True)

    def commit() -> None:
        for number in range(COMMITS):
            put_files(connection, "in", number, 1)
            wait_for_head(connection, "in")

    print(f"{COMMITS} commits above all of them: {timed(commit):.1f} s", flush=True)
    repos.create_repo(connection, "many")
    put_files(connection, "many", 0, datums)
    for name in LARGE:
        took = timed(lambda: create(connection, name, "many"))  # noqa: B023
        print(f"{datums} datums run in {took:.1f} s ({took / datums * 1e6:.0f} µs each)", flush=True)


def listings(connection: Connection) -> None:
    """Time what clients ask for."""
    large = next(jobs.list_job(connection, pipeline=LARGE[0]))
    newest = next(jobs.list_job(connection, pipeline="p000"))
    id, of_set = large.job.id, newest.job.id
    the_job = {"pipeline": {"name": LARGE[0]}, "id": id}
    middle = list(_ask(connection, "ListDatum", {"job": the_job}))
    marker = middle[len(middle) // 2].datum.id

    def ask(what: str, method: str, request: Mapping[str, Any], *, page: bool = True) -> None:
        count = 0

        def once() -> None:
            nonlocal count
            count = len(_ask(connection, method, request))

        show(f"{method}: {what}", once, lambda: f"{count} messages", is_page=page)

    ask("all, with details", "ListPipeline", {"details": True})
    ask("all, without", "ListPipeline", {})
    ask("the first 50", "ListPipeline", {"details": True, "page": {"page_size": 50}})
    ask("50 after 400", "ListPipeline", {"details": True, "page": {"page_size": 50, "page_index": 8}})
    ask("a project's", "ListPipeline", {"details": True, "projects": [{"name": "default"}]})
    ask("one", "InspectPipeline", {"pipeline": {"name": LARGE[0]}, "details": True})
    ask("the first 100", "ListJob", {"number": 100, "details": True})
    ask("100 from a time on", "ListJob", {"number": 100, "paginationMarker": newest.created})
    ask("of one pipeline", "ListJob", {"pipeline": {"name": "p000"}, "details": True})
    ask("all of every version", "ListJob", {"history": -1}, page=False)
    ask("the first 10", "ListJobSet", {"number": 10, "details": True})
    ask("two sets of every pipeline", "ListJobSet", {"number": 3})
    ask("one of every pipeline", "InspectJobSet", {"job_set": {"id": of_set}, "details": True})
    ask("one", "InspectJob", {"job": {"pipeline": {"name": LARGE[0]}, "id": id}, "details": True})
    ask("the first 100", "ListDatum", {"job": the_job, "number": 100})
    ask("100 from the middle", "ListDatum", {"job": the_job, "number": 100, "paginationMarker": marker})
    ask("the last 100", "ListDatum", {"job": the_job, "number": 100, "reverse": True})
    ask(
        "failed ones",
        "ListDatum",
        {"job": the_job, "number": 100, "filter": {"state": ["FAILED"]}},
        page=False,
    )
    ask("all", "ListDatum", {"job": the_job}, page=False)
    ask("one", "InspectDatum", {"datum": {"job": the_job, "id": marker}})
    ask("all", "PipelinesSummary", {})


def _ask(connection: Connection, method: str, request: Mapping[str, Any]) -> list[Any]:
    answer = connection.call(PPS, method, request)
    return [answer] if hasattr(answer, "DESCRIPTOR") else list(answer)


def commands(server: Serving) -> None:
    """Time commands, from the start of their process to its end."""
    for words in (
        ("list", "pipeline"),
        ("list", "job", "--pipeline", "p000"),
        ("list", "job", "-x"),
        ("inspect", "pipeline", LARGE[0]),
    ):
        show("pachctl " + " ".join(words), lambda: server.pachctl(*words), lambda: "", is_page=False)  # noqa: B023


def show(what: str, act: Callable[[], None], made: Callable[[], str], *, is_page: bool) -> None:
    """Print the median time of something, and whether it is in time for a page."""
    act()  # what the first caller pays for, a cache that is cold, is not what is asked
    took = statistics.median(timed(act) for _ in range(ROUNDS))
    judged = f"   target <= {TARGET * 1e3:.0f} ms: {verdict(took <= TARGET)}" if is_page else ""
    print(f"{what:<58} {took * 1e3:>8.1f} ms {made():>16}{judged}", flush=True)


if __name__ == "__main__":
    main()
