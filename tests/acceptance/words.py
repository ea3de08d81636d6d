"""Short words for the engine's tests: put files, look at whole commits, run shell pipelines and wait for their jobs.

Read next: test_commits.py, test_pipelines_run.py.
"""

from __future__ import annotations

import io
import itertools
import tarfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pachlet.client import commits, datums, jobs, logs, pipelines
from pachlet.client.connection import Connection
from pachlet.client.names import branch, commit, file
from pachlet.client.put_file import from_bytes, put_file
from pachlet.client.watch import head_of

PFS, PPS = "pfs_v2.API", "pps_v2.API"


def put(connection: Connection, target: str, files: Mapping[str, str], *, append: bool = False) -> None:
    """Put texts by path, in one call."""
    put_file(connection, target, [from_bytes(p, t.encode()) for p, t in files.items()], append=append)


def put_id(connection: Connection, target: str, files: Mapping[str, str]) -> str:
    """Put texts by path on a branch; return the id of the commit that was made for it."""
    put(connection, target, files)
    return head_of(connection, target)


def modify(connection: Connection, target: str, *messages: Mapping[str, Any]) -> None:
    """Send one ModifyFile stream to a branch or commit."""
    connection.send(PFS, "ModifyFile", [{"set_commit": commit("default", target)}, *messages])


def add(path: str, text: str, datum: str = "") -> dict[str, Any]:
    """Make the message that appends a text to a file."""
    return {"add_file": {"path": path, "datum": datum, "raw": {"value": text.encode()}}}


def delete(path: str, datum: str = "") -> dict[str, Any]:
    """Make the message that deletes a file, or what is below a path that ends with a slash."""
    return {"delete_file": {"path": path, "datum": datum}}


def tree(connection: Connection, target: str) -> dict[str, str]:
    """Return the texts of all files of a commit by path, waiting until it is finished if it is closed."""
    pieces = connection.call(PFS, "GetFileTAR", {"file": file("default", f"{target}:/")})
    with tarfile.open(fileobj=io.BytesIO(b"".join(each.value for each in pieces))) as archive:
        found = {}
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                found["/" + member.name.lstrip("/")] = content.read().decode()
    return found


def paths(infos: Iterable[Any]) -> list[str]:
    """Return the paths of FileInfos."""
    return [each.file.path for each in infos]


def ids(infos: Iterable[Any]) -> list[str]:
    """Return the ids of CommitInfos."""
    return [each.commit.id for each in infos]


def create_branch(connection: Connection, name: str, *upstream: str, **more: Any) -> None:
    """Create a branch with provenance."""
    named = {"branch": branch("default", name), "provenance": [branch("default", each) for each in upstream]}
    connection.call(PFS, "CreateBranch", {**named, **more})


def head(connection: Connection, name: str) -> Any:
    """Return the CommitInfo of a branch's head."""
    return commits.inspect_commit(connection, name)


def pfs_input(repo: str, glob: str = "/*", **more: Any) -> dict[str, Any]:
    """Make an input of one repo."""
    return {"pfs": {"repo": repo, "glob": glob, **more}}


def shell(name: str, script: str, input: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Make the spec of a pipeline that runs a shell script; `transform` in `more` adds to the transform."""
    transform = {"image": "alpine", "cmd": ["sh"], "stdin": [script], **more.pop("transform", {})}
    spec = {"pipeline": {"name": name}, "transform": transform, "datum_tries": 1, **more}
    return {**spec, "input": dict(input)} if input else spec


def create(connection: Connection, spec: Mapping[str, Any], **flags: Any) -> Any:
    """Create or update a pipeline; return its job's JobInfo once the job has ended."""
    pipelines.create_pipeline(connection, spec, **flags)
    return last_job(connection, spec["pipeline"]["name"])


def last_job(connection: Connection, pipeline: str) -> Any:
    """Return the JobInfo of a pipeline's newest job once it has ended."""
    newest = next(jobs.list_job(connection, pipeline=pipeline))
    return job(connection, pipeline, newest.job.id)


def job(connection: Connection, pipeline: str, id: str) -> Any:
    """Return a JobInfo once the job has ended."""
    return jobs.inspect_job(connection, f"{pipeline}@{id}", wait=True)


def ended(info: Any) -> tuple[str, int, int, int, int]:
    """Return how a job ended: its state, then its datums processed, skipped, failed and in total."""
    state = jobs.state_of(info).removeprefix("JOB_")
    return state, info.data_processed, info.data_skipped, info.data_failed, info.data_total


def recorded(connection: Connection, pipeline: str, count: int) -> list[str]:
    """Return the ids of the datums that a pipeline's first job has recorded, once there are so many."""
    info = next(iter(jobs.subscribe_job(connection, pipeline)))
    name = f"{pipeline}@{info.job.id}"
    for _ in logs.get_logs(connection, job=name, follow=True):
        found = [each.datum.id for each in datums.list_datum(connection, name)]
        if len(found) >= count:
            return found
    raise AssertionError(f"{pipeline} ended with fewer than {count} datums")


def until(connection: Connection, name: str, look: Callable[[Any], bool]) -> Any:
    """Return a pipeline's PipelineInfo once it looks as it should: whatever it does is followed by a log line."""
    lines = connection.call(PPS, "GetLogs", {"pipeline": {"name": name}, "follow": True}, timeout=60)
    for _ in itertools.chain([None], lines):
        info = pipelines.inspect_pipeline(connection, name)
        if look(info):
            return info
    raise AssertionError("the log ended")
