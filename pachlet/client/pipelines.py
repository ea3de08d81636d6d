"""Create, update, inspect, list, run and delete pipelines.

A spec goes to the server as JSON (CreatePipelineV2), so that the server keeps what the user wrote; servers
before 2.8 have only CreatePipeline, which takes the same thing as a message. The client fills in the project,
as pachctl does.

Read next: jobs.py, apply.py (specs, in order, and only where something changed).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pachlet.client import names
from pachlet.client.authorship import header
from pachlet.client.connection import Connection, Message
from pachlet.errors import InvalidArgument, Refused, Unimplemented

SERVICE = "pps_v2.API"
ALL_VERSIONS = -1
_COMBINED = ("cross", "join", "group", "union")

Spec = Mapping[str, Any]

_NAME_HINT = 'a spec begins with {"pipeline": {"name": ...}}'


def create_pipeline(
    connection: Connection,
    spec: Spec,
    *,
    update: bool = False,
    reprocess: bool = False,
    dry_run: bool = False,
    message: str = "",
) -> Message | None:
    """Create a pipeline, or with `update` a new version of it; with `reprocess`, redo all datums.

    `message` says why; it is on the version's spec commit, of a pachlet server.

    Returns the effective spec as the server sees it, as a JSON text (None from a server before 2.8).
    """
    full = with_project(spec, connection.project)
    request = {"dry_run": dry_run, "update": update, "reprocess": reprocess}
    try:
        answer = connection.call(
            SERVICE,
            "CreatePipelineV2",
            {"create_pipeline_request_json": json.dumps(full), **request},
            metadata=header(message=message),
        )
        return answer.effective_create_pipeline_request_json
    except Unimplemented:
        old = as_message(full)
        for flag, value in request.items():
            setattr(old, flag, value)
        connection.call(SERVICE, "CreatePipeline", old)
        return None


def with_project(spec: Spec, project: str) -> dict[str, Any]:
    """Return a spec that says which project its pipeline is in."""
    pipeline = spec.get("pipeline")
    if not isinstance(pipeline, Mapping):
        raise InvalidArgument("no `pipeline` specified", hint=_NAME_HINT)
    if not pipeline.get("name"):
        raise InvalidArgument("no pipeline `name` specified", hint=_NAME_HINT)
    named = (pipeline.get("project") or {}).get("name") or project
    return {**spec, "pipeline": {**pipeline, "project": {"name": named}}}


def with_annotation(spec: Spec, name: str, value: str) -> dict[str, Any]:
    """Return a spec with an annotation in its metadata."""
    metadata = dict(spec.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), name: value}
    return {**spec, "metadata": metadata}


def as_message(spec: Spec) -> Message:
    """Return a spec as a CreatePipelineRequest; its keys may be in snake_case or camelCase."""
    from google.protobuf import json_format

    from pachlet.wire import schema

    kind = schema.message("pps_v2.CreatePipelineRequest")
    try:
        return json_format.ParseDict(dict(spec), kind())
    except json_format.ParseError as error:
        raise InvalidArgument(f"invalid pipeline spec: {error}") from None


def inspect_pipeline(connection: Connection, pipeline: str, *, details: bool = True) -> Message:
    """Return a PipelineInfo; `pipeline` may end in ancestry (`edges^`) for an earlier version."""
    request = {"pipeline": names.pipeline(connection.project, pipeline), "details": details}
    return connection.call(SERVICE, "InspectPipeline", request)


def list_pipeline(
    connection: Connection,
    pipeline: str = "",
    *,
    history: int = 0,
    commit_set: str = "",
    all_projects: bool = False,
) -> Iterator[Message]:
    """Yield a PipelineInfo for each pipeline (each version, with `history` ALL_VERSIONS), newest first."""
    request: dict[str, Any] = {"history": history, "details": True}
    if pipeline:
        request["pipeline"] = names.pipeline(connection.project, pipeline)
    elif not all_projects:
        request["projects"] = [names.project(connection.project)]
    if commit_set:
        request["commit_set"] = {"id": commit_set}
    yield from connection.call(SERVICE, "ListPipeline", request)


def delete_pipeline(
    connection: Connection,
    pipeline: str,
    *,
    force: bool = False,
    keep_repo: bool = False,
    must_exist: bool = True,
) -> None:
    """Delete a pipeline with its jobs and, unless `keep_repo`, its output repo."""
    request = {
        "pipeline": names.pipeline(connection.project, pipeline),
        "force": force,
        "keep_repo": keep_repo,
        "must_exist": must_exist,
    }
    connection.call(SERVICE, "DeletePipeline", request)


def delete_pipelines(
    connection: Connection, *, all_projects: bool = False, force: bool = False, keep_repo: bool = False
) -> list[Message]:
    """Delete every pipeline of the project, or of all; return the names of the deleted ones."""
    where: dict[str, Any] = (
        {"all": True} if all_projects else {"projects": [names.project(connection.project)]}
    )
    request = {**where, "force": force, "keep_repo": keep_repo}
    return list(connection.call(SERVICE, "DeletePipelines", request).pipelines)


def start_pipeline(connection: Connection, pipeline: str) -> None:
    """Let a stopped pipeline run again."""
    connection.call(
        SERVICE,
        "StartPipeline",
        {"pipeline": names.pipeline(connection.project, pipeline)},
        metadata=header(),
    )


def stop_pipeline(connection: Connection, pipeline: str) -> None:
    """Keep a pipeline from taking new commits, and kill its jobs."""
    request = {"pipeline": names.pipeline(connection.project, pipeline), "must_exist": True}
    connection.call(SERVICE, "StopPipeline", request)


def rerun_pipeline(connection: Connection, pipeline: str, *, reprocess: bool = False) -> None:
    """Run the newest commits again: what failed, or with `reprocess` everything."""
    request = {"pipeline": names.pipeline(connection.project, pipeline), "reprocess": reprocess}
    connection.call(SERVICE, "RerunPipeline", request, metadata=header())


def run_cron(connection: Connection, pipeline: str) -> None:
    """Tick all cron inputs of a pipeline now."""
    connection.call(
        SERVICE, "RunCron", {"pipeline": names.pipeline(connection.project, pipeline)}, metadata=header()
    )


def check_status(connection: Connection, *, all_projects: bool = False) -> Iterator[Message]:
    """Yield a CheckStatusResponse for each pipeline that there are alerts about."""
    where: dict[str, Any] = {"all": True} if all_projects else {"project": names.project(connection.project)}
    yield from connection.call(SERVICE, "CheckStatus", where)


def user_spec(info: Message) -> dict[str, Any] | None:
    """Return the spec as its user wrote it; None where the server does not keep it (before 2.8)."""
    return _spec(info, info.user_spec_json)


def effective_spec(info: Message) -> dict[str, Any] | None:
    """Return the spec as it holds, defaults filled in; None where the server does not keep it (before 2.8)."""
    return _spec(info, info.effective_spec_json)


def _spec(info: Message, text: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise Refused(
            f"the server keeps a spec of {names.show_pipeline(info.pipeline)} that is not JSON: {error}"
        ) from None
    return spec if isinstance(spec, dict) else None


def input_repos(spec: Spec) -> Sequence[tuple[str, str]]:
    """Return (project, repo) of each pfs input of a spec, in the order in which they are written."""
    own = ((spec.get("pipeline") or {}).get("project") or {}).get("name") or ""
    found: list[tuple[str, str]] = []
    waiting = [spec.get("input")]
    while waiting:
        part = waiting.pop(0)
        if not isinstance(part, Mapping):
            continue
        pfs = part.get("pfs")
        if isinstance(pfs, Mapping) and pfs.get("repo"):
            found.append((pfs.get("project") or own, pfs["repo"]))
        for kind in ("cross", "union", "join", "group"):
            waiting.extend(part.get(kind) or [])
    return found


def pfs_inputs(part: Message) -> Iterator[Message]:
    """Yield the repos' inputs (pps_v2.PFSInput) of an input, whatever they are combined by."""
    if part.HasField("pfs"):
        yield part.pfs
    for kind in _COMBINED:
        for inner in getattr(part, kind):
            yield from pfs_inputs(inner)
