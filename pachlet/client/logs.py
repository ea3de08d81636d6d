"""Read what steps printed, and what the engine says about running them.

Read next: jobs.py, datums.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message


def get_logs(
    connection: Connection,
    *,
    pipeline: str = "",
    job: str = "",
    datum: str = "",
    inputs: Sequence[str] = (),
    master: bool = False,
    follow: bool = False,
    tail: int = 0,
    since: timedelta | None = None,
) -> Iterator[Message]:
    """Yield a LogMessage for each line of a pipeline, a job or one datum of a job, oldest first."""
    request: dict[str, Any] = {"data_filters": list(inputs), "master": master, "follow": follow, "tail": tail}
    if pipeline:
        request["pipeline"] = names.pipeline(connection.project, pipeline)
    if job:
        request["job"] = names.job(connection.project, job)
        request["pipeline"] = request["job"]["pipeline"]
    if datum:
        request["datum"] = {"id": datum, **({"job": request["job"]} if job else {})}
    if since is not None:
        whole = int(since.total_seconds())
        request["since"] = {"seconds": whole, "nanos": since.microseconds * 1000}
    yield from connection.call("pps_v2.API", "GetLogs", request)


def failure_lines(connection: Connection, job: str, *, number: int = 10) -> list[str]:
    """Return what a failed job said last: what user code printed and why it failed, or else what the engine said."""
    said = list(get_logs(connection, job=job))
    failed = [line.message for line in said if line.user or (line.datum_id and " failed: " in line.message)]
    return (failed or [line.message for line in said if line.master])[-number:]
