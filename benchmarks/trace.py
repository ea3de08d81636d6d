"""W5: which data and code made this model, on a history of 1,000 runs over 100,000 files.

    python -m benchmarks.trace [--runs N] [--files N] [--repeat N] [--keep]

Each run is a commit that puts a folder of files in the place of the one before, and a job that makes a model of it; a
second pipeline makes a forecast of the model. With --keep the folders before stay, and so do their models: a job then
has as many datums as there were runs, of which it runs one, and making such a history takes minutes. Steps take no
time, commits and jobs are the engine's. Traced are the newest forecast, one from the middle, and downwards a file of
the middle; each as an RPC (the median, over a connection that is open, so an upper bound of what the server takes) and
as a command, process start included.

Target: 0.5 s as a command, 5 ms in the server.

Read next: instant_steps.py, pachlet/pps/lineage.py.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.instant_steps import serving_instantly
from benchmarks.serving import Serving, timed
from pachlet.client import pipelines, repos
from pachlet.client.commits import wait_commit
from pachlet.client.connection import Connection
from pachlet.client.datums import list_datum
from pachlet.client.lineage.asking import trace
from pachlet.client.put_file import Nothing, from_bytes, put_file
from pachlet.client.watch import head_of


def main() -> None:
    """Make the history, and trace in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--files", type=int, default=100, help="in each run")
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--keep", action="store_true", help="folders and models of the runs before")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="pachlet-bench-") as scratch,
        serving_instantly(Path(scratch, "data")) as server,
        Connection(server.address) as connection,
    ):
        began = time.perf_counter()
        commits = make_history(connection, arguments.runs, arguments.files, keep=arguments.keep)
        files, took = arguments.runs * arguments.files, time.perf_counter() - began
        print(f"{arguments.runs} runs, {files} files, made in {took:.0f} s")
        middle = commits[len(commits) // 2]
        places = {
            "the newest forecast": (forecast_of(connection, arguments.runs - 1, "forecast@master"), False),
            "one from the middle": (forecast_of(connection, len(commits) // 2, f"forecast@{middle}"), False),
            "down, a file of the middle": (f"raw@{middle}:/run-{len(commits) // 2}/7", True),
        }
        if arguments.keep:
            places["down, the same at the head"] = (f"raw@master:/run-{len(commits) // 2}/7", True)
        print(f"{'':28}{'files':>6}{'runs':>6}{'RPC, ms':>10}{'command, s':>12}")
        for name, (place, down) in places.items():
            measure(connection, server, name, place, down=down, repeat=arguments.repeat)


def measure(
    connection: Connection, server: Serving, name: str, place: str, *, down: bool, repeat: int
) -> None:
    """Print what one trace takes."""
    graph = trace(connection, place, down=down)
    if len(graph.runs) < 2:
        raise SystemExit(f"{place} leads to {len(graph.runs)} runs, wanted the model's and the forecast's")
    rpc = statistics.median(timed(lambda: trace(connection, place, down=down)) for _ in range(repeat))
    words = ["trace", place, *(["--down"] if down else [])]
    command = statistics.median(timed(lambda: server.pachctl(*words)) for _ in range(5))
    print(f"{name:28}{len(graph.files):>6}{len(graph.runs):>6}{rpc * 1000:>10.1f}{command:>12.2f}")


def make_history(connection: Connection, runs: int, files: int, *, keep: bool) -> list[str]:
    """Make the commits and their jobs; return the ids, in order."""
    repos.create_repo(connection, "raw")
    put_run(connection, 0, files, keep=True)
    for name, source in (("train", "raw"), ("forecast", "train")):
        spec = {
            "pipeline": {"name": name},
            "transform": {"image": name, "cmd": [name]},
            "input": {"pfs": {"repo": source, "glob": "/*"}},
        }
        pipelines.create_pipeline(connection, spec)
    wait_commit(connection, "forecast@master")
    made = [head_of(connection, "raw@master")]
    for number in range(1, runs):
        put_run(connection, number, files, keep=keep)
        made.append(head_of(connection, "raw@master"))
    wait_commit(connection, f"forecast@{made[-1]}")
    return made


def put_run(connection: Connection, number: int, files: int, *, keep: bool) -> None:
    """Commit a folder of files, in the place of the one before unless that is to be kept."""
    before = [] if keep else [Nothing(f"/run-{number - 1}/")]
    new = [from_bytes(f"/run-{number}/{each}", f"{number} {each}".encode()) for each in range(files)]
    put_file(connection, "raw@master", [*before, *new], message=f"run {number}")


def forecast_of(connection: Connection, number: int, commit: str) -> str:
    """Return the place of the forecast that was made of the model of a run, in a commit."""
    job = f"train@{head_of(connection, commit)}"
    model = next(
        each.datum.id for each in list_datum(connection, job) if each.data[0].file.path == f"/run-{number}/"
    )
    job = f"forecast@{head_of(connection, commit)}"
    found = (each.datum.id for each in list_datum(connection, job) if each.data[0].file.path == f"/{model}")
    return f"{commit}:/{next(found)}"


if __name__ == "__main__":
    main()
