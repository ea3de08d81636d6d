"""Pipelines by the hundred in one server, for the benchmarks of what many of them cost.

Read next: instant_steps.py (the server), many_pipelines.py and listing_pps.py (what is measured).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pachlet.client import jobs, pipelines
from pachlet.client.commits import wait_commitset
from pachlet.client.connection import Connection
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.watch import head_of

_PUT_AT_ONCE = 10_000


def spec(name: str, repo: str, glob: str = "/*") -> dict[str, Any]:
    """Make the spec of a pipeline with a datum for each file of a repo."""
    transform = {"image": "debian", "cmd": ["sh"], "stdin": ["cp /pfs/in/* /pfs/out/"]}
    source = {"pfs": {"name": "in", "repo": repo, "glob": glob}}
    return {"pipeline": {"name": name}, "transform": transform, "input": source}


def create(connection: Connection, name: str, repo: str) -> None:
    """Create a pipeline and wait for its first job."""
    pipelines.create_pipeline(connection, spec(name, repo))
    newest = next(jobs.list_job(connection, pipeline=name))
    jobs.inspect_job(connection, f"{name}@{newest.job.id}", wait=True)


def put_files(connection: Connection, repo: str, first: int, number: int) -> None:
    """Put so many small files, each with a number as its name; a commit for each ten thousand."""
    for start in range(first, first + number, _PUT_AT_ONCE):
        some = range(start, min(start + _PUT_AT_ONCE, first + number))
        put_file(connection, f"{repo}@master", [from_bytes(f"/{each:06}", b"%d" % each) for each in some])


def wait_for_head(connection: Connection, repo: str) -> None:
    """Wait until all that follows from the head of a repo is done."""
    wait_commitset(connection, head_of(connection, f"{repo}@master"))


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
