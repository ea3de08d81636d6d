"""inspect, list, delete, start, stop and rerun pipeline, and run cron.

Read next: create_pipeline.py, draw_pipeline.py, job.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import (
    as_json,
    as_plain,
    coloured,
    show_list,
    show_one,
    show_value,
    wants_raw,
    when,
)
from pachlet.cli.session import Session
from pachlet.cli.verbs.grouping import grouped
from pachlet.cli.verbs.job import state_word
from pachlet.client import pipelines
from pachlet.client.connection import Message
from pachlet.errors import Usage

_HEADER = ("PROJECT", "NAME", "VERSION", "INPUT", "CREATED", "STATE / LAST JOB", "ALERTS", "DESCRIPTION")
_STATES = ("starting", "running", "restarting", "failure", "paused", "standby", "crashing")
_COLOURS = {"running": "green", "failure": "red", "crashing": "red"}


def inspect_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_pipeline(session: Session, arguments: Namespace) -> None:
    info = pipelines.inspect_pipeline(session.connection, arguments.pipeline)
    show_one(session, arguments, info, lambda info: _lines(session, arguments, info))


def list_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline", nargs="?", default="")
    parser.add_argument("-s", "--spec", action="store_true", help="show specs that create pipeline accepts")
    parser.add_argument("--history", default="none", help="earlier versions too: a number, or all")
    parser.add_argument(
        "-c", "--commit", type=flags.set_id, default="", metavar="ID", help="as they were at a commit set"
    )
    parser.add_argument("--state", action="append", default=[], choices=_STATES, help="pipelines in a state")
    flags.add_project(parser)
    flags.add_all_projects(parser)
    flags.add_output(parser)


def list_pipeline(session: Session, arguments: Namespace) -> None:
    wanted = {f"PIPELINE_{state.upper()}" for state in arguments.state}
    infos = [
        info
        for info in pipelines.list_pipeline(
            session.connection,
            arguments.pipeline,
            history=flags.history(arguments.history),
            commit_set=arguments.commit,
            all_projects=arguments.all_projects,
        )
        if not wanted or _state_of(info) in wanted
    ]
    if arguments.spec:
        for info in infos:
            spec = pipelines.user_spec(info) or {"pipeline": as_plain(info.pipeline)}
            show_value(session, arguments.output or "json", spec)
        return
    show_list(
        session,
        arguments,
        infos,
        _HEADER,
        lambda info: _row(session, arguments, info),
        elastic=("INPUT", "DESCRIPTION"),
    )
    if not wants_raw(arguments):
        # What stops a pipeline comes before what is only to be known of one that runs.
        infos.sort(key=lambda info: _state_of(info) == "PIPELINE_RUNNING")
        failed = [(info.pipeline.name, _failure(info)) for info in infos]
        said = [(info.pipeline.name, info.reason) for info in infos]
        for names, reason in grouped(each for each in failed + said if each[1]):
            session.say(f"{names}: {reason}")


def delete_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline", nargs="?", default="")
    parser.add_argument("--all", action="store_true", help="delete all pipelines")
    parser.add_argument("--keep-repo", action="store_true", help="keep the output repo, as a plain one")
    flags.add_force(parser)
    flags.add_project(parser)
    flags.add_all_projects(parser)


def delete_pipeline(session: Session, arguments: Namespace) -> None:
    if arguments.all == bool(arguments.pipeline):
        raise Usage("delete pipeline takes the name of a pipeline, or --all")
    how = {"force": arguments.force, "keep_repo": arguments.keep_repo}
    with session.progress.waiting("deleting"):
        if arguments.all:
            pipelines.delete_pipelines(session.connection, all_projects=arguments.all_projects, **how)
        else:
            pipelines.delete_pipeline(session.connection, arguments.pipeline, **how)


def start_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline")
    flags.add_project(parser)


def start_pipeline(session: Session, arguments: Namespace) -> None:
    pipelines.start_pipeline(session.connection, arguments.pipeline)


stop_pipeline_arguments = start_pipeline_arguments


def stop_pipeline(session: Session, arguments: Namespace) -> None:
    pipelines.stop_pipeline(session.connection, arguments.pipeline)


def rerun_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline")
    parser.add_argument("--reprocess", action="store_true", help="process all datums again")
    flags.add_project(parser)


def rerun_pipeline(session: Session, arguments: Namespace) -> None:
    pipelines.rerun_pipeline(session.connection, arguments.pipeline, reprocess=arguments.reprocess)


run_cron_arguments = start_pipeline_arguments


def run_cron(session: Session, arguments: Namespace) -> None:
    pipelines.run_cron(session.connection, arguments.pipeline)


def shorthand(part: Message | None) -> str:
    """Show an input in one short line."""
    if part is None:
        return "none"
    if part.HasField("pfs"):
        return f"{part.pfs.project}/{part.pfs.repo}:{part.pfs.glob}"
    if part.HasField("cron"):
        return f"{part.cron.name}:{part.cron.spec}"
    for kind, sign in (("cross", " ⨯ "), ("join", " ⋈ "), ("union", " ∪ ")):
        if inner := getattr(part, kind):
            return f"({sign.join(shorthand(each) for each in inner)})"
    if part.group:
        return f"(Group: {', '.join(shorthand(each) for each in part.group)})"
    return "none"


def _state_of(info: Message) -> str:
    from pachlet.wire import schema

    return schema.enum_name("pps_v2.PipelineState", info.state)


def _state(session: Session, info: Message) -> str:
    state = _state_of(info)
    if state == "PIPELINE_STATE_UNKNOWN":
        return "-"
    word = state.removeprefix("PIPELINE_").lower()
    return coloured(session, _COLOURS.get(word, "yellow"), word)


def _failure(info: Message) -> str:
    """Return what the last job of a pipeline failed of, if that is not why the pipeline is as it is."""
    error = info.details.recent_error
    cause = error.partition(" failed: ")[2] if error.startswith("datum ") else error
    return f"its last job failed: {error}" if cause and cause not in info.reason else ""


def _last_job(session: Session, info: Message) -> str:
    from pachlet.wire import schema

    return state_word(session, schema.enum_name("pps_v2.JobState", info.last_job_state))


def _row(session: Session, arguments: Namespace, info: Message) -> tuple[str, ...]:
    details = info.details
    return (
        info.pipeline.project.name,
        info.pipeline.name,
        str(info.version),
        shorthand(details.input if details.HasField("input") else None),
        when(arguments, details.created_at),
        f"{_state(session, info)} / {_last_job(session, info)}",
        "*" if info.reason else "",
        details.description,
    )


def _service(details: Message) -> Message | None:
    """Return what is told of the port of a service, or of a spout that has one."""
    if details.HasField("service"):
        return details.service
    return details.spout.service if details.HasField("spout") and details.spout.HasField("service") else None


def _lines(session: Session, arguments: Namespace, info: Message) -> Iterator[str]:
    details = info.details
    yield f"Name: {info.pipeline.name}"
    if details.description:
        yield f"Description: {details.description}"
    yield f"Created: {when(arguments, details.created_at)}"
    yield f"State: {_state(session, info)}"
    yield f"Reason: {info.reason}".rstrip()
    yield f"Workers Available: {details.workers_available}/{details.workers_requested}"
    yield f"Stopped: {str(info.stopped).lower()}"
    yield f"Parallelism Spec: {details.parallelism_spec.constant or 1}"
    if (service := _service(details)) is not None:
        where = f"{service.ip}:{service.external_port}" if service.ip else "at no port yet"
        yield f"Service: {where} (port {service.internal_port} of its step)"
    for name, field in (("ResourceRequests", "resource_requests"), ("ResourceLimits", "resource_limits")):
        if details.HasField(field):
            yield f"{name}:"
            yield from _resources(getattr(details, field))
    for name, field in (("Datum Timeout", "datum_timeout"), ("Job Timeout", "job_timeout")):
        if details.HasField(field):
            yield f"{name}: {getattr(details, field).ToJsonString()}"
    if details.HasField("input"):
        yield f"Input: {as_json(as_plain(details.input))}"
    yield f"Output Branch: {details.output_branch}"
    yield f"Transform: {as_json(as_plain(details.transform))}"
    if details.HasField("egress"):
        yield f"Egress: {as_json(as_plain(details.egress))}"
    if details.recent_error:
        yield f"Recent Error: {details.recent_error}"
    if (spec := pipelines.user_spec(info)) is not None:
        yield f"User Spec: {as_json(spec)}"
    if (spec := pipelines.effective_spec(info)) is not None:
        yield f"Effective Spec: {as_json(spec)}"


def _resources(found: Message) -> Iterator[str]:
    for name, value in (("CPU", f"{found.cpu:g}"), ("Memory", found.memory), ("Disk", found.disk)):
        if value not in ("", "0"):
            yield f"  {name}: {value}"
    if found.HasField("gpu"):
        yield f"  GPU: {found.gpu.number} {found.gpu.type}".rstrip()
