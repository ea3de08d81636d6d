"""Read what steps printed, and what the engine says about running them.

Read next: jobs.py, datums.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message

_LONGEST = 200
"""So many characters of a line are shown where a failure is reported; `logs` has all of it."""


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
    """Return what a failed job said last: what user code printed and why it failed, or else what the engine said.

    Each line is cut and can be shown on a terminal; the first says what was left out.
    """
    failed: deque[str] = deque(maxlen=number)
    engine: deque[str] = deque(maxlen=number)
    counts = {"failed": 0, "engine": 0}
    for line in get_logs(connection, job=job):
        if line.user or (line.datum_id and " failed: " in line.message):
            failed.append(_shown(line.message))
            counts["failed"] += 1
        elif line.master:
            engine.append(_shown(line.message))
            counts["engine"] += 1
    lines, count = (failed, counts["failed"]) if failed else (engine, counts["engine"])
    left_out = count - len(lines)
    return [f"... {left_out} earlier line{'s' if left_out > 1 else ''}", *lines] if left_out else [*lines]


def _shown(text: str) -> str:
    """Return a line as a terminal can show it: what controls it is written as an escape, a long one is cut."""
    text = text.rstrip("\r\n")
    kept = "".join(
        char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in text[:_LONGEST]
    )
    return kept if len(text) <= _LONGEST else f"{kept}... and {len(text) - _LONGEST} more characters"
