"""What a proof costs besides the steps: as many datums as one likes, each of which writes one small file.

    python -m benchmarks.verify [--datums N] [--jobs N] [--steps]

Steps take no time, so what is left is the engine's: to offer a datum, to lay out its input, to compare what it wrote
and to tell. Beside it the job that made the same files, which also stores and records them. Then a commit whose datums
were run by many jobs, each of which has to be made ready for itself. With --steps they are real processes.

Target: a datum costs a proof no more than it cost the job; a datum of a job of its own costs 10 ms.

Read next: instant_steps.py, pachlet/pps/proving/proving.py.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.instant_steps import serving_instantly
from benchmarks.serving import Serving, serving
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.jobs import inspect_job, list_job
from pachlet.client.proofs import verify
from pachlet.client.put_file import from_bytes, put_file

TWO_AT_A_TIME = {"parallelism_spec": {"constant": 2}}
STEP = {"image": "alpine", "cmd": ["sh"], "stdin": ["echo $PACH_DATUM_ID > /pfs/out/$PACH_DATUM_ID"]}


def main() -> None:
    """Make the commits, and prove them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--datums", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--steps", action="store_true", help="run real processes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pachlet-bench-") as scratch:
        serve = serving if arguments.steps else serving_instantly
        with serve(Path(scratch, "data")) as server, Connection(server.address) as connection:
            at_once(connection, server, arguments.datums)
            of_many_jobs(connection, server, arguments.jobs)


def at_once(connection: Connection, server: Serving, datums: int) -> None:
    """One job makes all, and one proof proves them."""
    repos.create_repo(connection, "many")
    put_file(connection, "many@master", [from_bytes(f"/{each}", b"%d" % each) for each in range(datums)])
    began = time.perf_counter()
    create(connection, "once", "many")
    show(f"{datums} datums, the job that made them", time.perf_counter() - began, datums)
    prove(connection, server, "once", f"{datums} datums, proved", datums)


def of_many_jobs(connection: Connection, server: Serving, jobs: int) -> None:
    """Each job adds a datum, and one proof proves them all."""
    repos.create_repo(connection, "slowly")
    put_file(connection, "slowly@master", [from_bytes("/first", b"0")])
    create(connection, "each", "slowly")
    for each in range(jobs):
        put_file(connection, "slowly@master", [from_bytes(f"/{each}", b"%d" % each)])
        wait(connection, "each")
    prove(connection, server, "each", f"{jobs} datums of a job each, proved", jobs)


def create(connection: Connection, name: str, repo: str) -> None:
    """Create a pipeline and wait for its first job."""
    spec = {
        "pipeline": {"name": name},
        "transform": STEP,
        "input": {"pfs": {"repo": repo, "glob": "/*"}},
        **TWO_AT_A_TIME,
    }
    pipelines.create_pipeline(connection, spec)
    wait(connection, name)


def wait(connection: Connection, name: str) -> None:
    """Wait for the newest job of a pipeline."""
    newest = next(list_job(connection, name, number=1))
    inspect_job(connection, f"{name}@{newest.job.id}", wait=True)


def prove(connection: Connection, server: Serving, name: str, what: str, datums: int) -> None:
    """Prove a pipeline's newest commit and say what it took."""
    began = time.perf_counter()
    answers = list(verify(connection, [f"{name}@master"]))
    took = time.perf_counter() - began
    told = next(each for answer in answers for each in answer.commits)
    if told.identical < datums or told.differing or told.unverified:
        raise SystemExit(f"{name}: {told}")
    show(what, took, datums, f"server's peak {server.peak:.0f} MiB")


def show(what: str, seconds: float, datums: int, more: str = "") -> None:
    """Print what something took."""
    print(f"{what:<44}{seconds:8.1f} s{seconds / datums * 1000:9.2f} ms a datum   {more}")


if __name__ == "__main__":
    main()
