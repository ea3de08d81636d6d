"""A job that waits says what for, wherever it is shown."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.cli.progress import Progress
from pachlet.client import commits, jobs, pipelines, repos
from pachlet.client.connection import Connection
from pachlet.client.jobs import state_of
from pachlet.client.watch import wait_for
from pachlet.worker.capacity import machine_memory
from tests.acceptance.words import PPS, ended, job, pfs_input, put_id, shell

IN = pfs_input("in")
SLOW = "echo started; cat /pfs/in/* >/dev/null; sleep 600"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A connection to a server with one worker, and a repo `in` with a file."""
    with testing.server(tmp_path / "data", workers=1) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put_id(connection, "in@master", {"/a": "1"})
        yield connection


def newest(connection: Connection, pipeline: str) -> Any:
    return next(jobs.list_job(connection, pipeline))


def started(connection: Connection, pipeline: str) -> Any:
    """Return the JobInfo of a pipeline's newest job once its code has printed `started`."""
    info = newest(connection, pipeline)
    for line in connection.call(PPS, "GetLogs", {"job": info.job, "follow": True}, timeout=60):
        if line.message == "started":
            return info
    raise AssertionError("the job ended")


def planned(connection: Connection, pipeline: str) -> Any:
    """Return the JobInfo of a pipeline's newest job once its datums are counted: it wants a worker then."""
    info = newest(connection, pipeline)
    for line in connection.call(PPS, "GetLogs", {"job": info.job, "follow": True}, timeout=60):
        if line.master and " new" in line.message:
            # The plan is told just before the datums are offered; this asks until they are.
            while not (found := jobs.inspect_job(connection, f"{pipeline}@{info.job.id}")).reason:
                pass
            return found
    raise AssertionError("the job ended")


def test_free_worker(connection: Connection) -> None:
    pipelines.create_pipeline(connection, shell("slow", SLOW, IN))
    started(connection, "slow")
    pipelines.create_pipeline(connection, shell("next", "true", IN))
    info = planned(connection, "next")
    assert (state_of(info), info.reason) == (
        "JOB_STARTING",
        "waiting for a free worker (1 of 1 busy with default/slow)",
    )
    assert newest(connection, "next").reason == info.reason
    [shown] = jobs.inspect_jobset(connection, info.job.id)
    assert shown.reason == info.reason
    followed = next(iter(connection.call(PPS, "SubscribeJob", {"pipeline": {"name": "next"}}, timeout=60)))
    assert (state_of(followed), followed.reason) == (state_of(info), info.reason)
    pipelines.delete_pipeline(connection, "slow")
    assert (ended(job(connection, "next", info.job.id))[0], newest(connection, "next").reason) == (
        "SUCCESS",
        "",
    )


def test_job_before_it_and_job_upstream(connection: Connection) -> None:
    pipelines.create_pipeline(connection, shell("slow", SLOW, IN))
    first = started(connection, "slow").job.id
    pipelines.create_pipeline(connection, shell("below", "true", pfs_input("slow")))
    info = newest(connection, "below")
    assert (state_of(info), info.reason) == ("JOB_CREATED", f"waiting for job {first} of default/slow")
    second = put_id(connection, "in@master", {"/b": "2"})
    info = jobs.inspect_job(connection, f"slow@{second}")
    assert info.reason == f"waiting for job {first} of the same pipeline"
    info = jobs.inspect_job(connection, f"below@{second}")
    assert info.reason.startswith("waiting for job ")


def test_commit_that_is_open(connection: Connection) -> None:
    open_commit = commits.start_commit(connection, "in@master")
    pipelines.create_pipeline(connection, shell("p", "true", IN))
    info = newest(connection, "p")
    assert (state_of(info), info.reason) == (
        "JOB_CREATED",
        "waiting for a commit on default/in@master to be finished",
    )
    commits.finish_commit(connection, f"in@{open_commit.id}")
    assert ended(job(connection, "p", info.job.id))[0] == "SUCCESS"


def test_memory(tmp_path: Path) -> None:
    most = machine_memory() * 2 // 3
    asks = {"resource_requests": {"memory": str(most)}}
    with testing.server(tmp_path / "data", workers=2) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put_id(connection, "in@master", {"/a": "1"})
        pipelines.create_pipeline(connection, shell("large", SLOW, IN, **asks))
        started(connection, "large")
        pipelines.create_pipeline(connection, shell("other", "true", IN, **asks))
        info = planned(connection, "other")
        assert state_of(info) == "JOB_STARTING"
        assert info.reason.startswith("waiting for ")
        assert " of memory; " in info.reason
        assert info.reason.endswith(" are free")
        # Who asks for nothing is not kept waiting.
        pipelines.create_pipeline(connection, shell("small", "true", IN))
        assert ended(job(connection, "small", newest(connection, "small").job.id))[0] == "SUCCESS"
        pipelines.delete_pipeline(connection, "large")
        assert ended(job(connection, "other", info.job.id))[0] == "SUCCESS"


def test_no_worker_at_all_and_one_that_can_not(tmp_path: Path) -> None:
    with testing.server(tmp_path / "data", workers=0) as running, Connection(running.address) as connection:
        repos.create_repo(connection, "in")
        put_id(connection, "in@master", {"/a": "1"})
        pipelines.create_pipeline(connection, shell("p", "true", IN))
        assert (
            planned(connection, "p").reason == "waiting for a worker; none is there (`pachlet worker` is one)"
        )
        other = {"worker": "other", "patience_seconds": 0.0, "host_digest": "sha256:of another machine"}
        assert not connection.call("pachlet.v1.Work", "Take", other).HasField("lease")
        assert planned(connection, "p").reason == (
            "waiting for a worker that can run it; other can't: "
            "image alpine is the server's own programs; it has others"
        )


def test_wait_shows_it(connection: Connection) -> None:
    pipelines.create_pipeline(connection, shell("slow", SLOW, IN))
    started(connection, "slow")
    pipelines.create_pipeline(connection, shell("next", "true", IN))
    info = planned(connection, "next")
    shown, seen = io.StringIO(), threading.Event()
    now = iter(range(10**6))
    progress = Progress(shown, live=False, clock=lambda: float(next(now)))

    def show(infos: Any) -> None:
        progress.jobs(infos)
        if "busy with" in shown.getvalue() and not seen.is_set():
            seen.set()
            pipelines.delete_pipeline(connection, "slow")

    wait_for(connection, [info.job.id], show=show)
    assert "default/next: waiting: for a free worker (1 of 1 busy with default/slow)\n" in shown.getvalue()
    assert shown.getvalue().count("busy with") == 1
