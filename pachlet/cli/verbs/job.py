"""inspect, list, wait, subscribe, stop and delete job.

A job is `pipeline@id`. An id alone is a job set; where 1.x meant a job by it and the set has only one, that
one is taken.

Read next: datum.py, logs.py.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator

from pachlet.cli import flags
from pachlet.cli.output import (
    as_json,
    as_plain,
    bar,
    coloured,
    human_duration,
    seconds_of,
    show_list,
    show_one,
    show_raw,
    size,
    wants_raw,
    when,
)
from pachlet.cli.session import Session
from pachlet.cli.verbs.waiting import report, wait_for_set
from pachlet.client import commits, jobs, names
from pachlet.client.connection import Message
from pachlet.errors import NotFound, PachletError, Usage
from pachlet.ids import is_commit_id

_HEADER = (
    "PROJECT",
    "PIPELINE",
    "ID",
    "STARTED",
    "DURATION",
    "RESTART",
    "PROGRESS",
    "DL",
    "UL",
    "STATE",
)
_SET_HEADER = ("ID", "SUBJOBS", "PROGRESS", "CREATED", "MODIFIED")
_REASON = 25  # characters of a reason in a table
_OF_DATUM = re.compile(r"^datum [0-9a-f]{64} failed: ")  # which would leave no room for the reason
STATES = (
    "created",
    "starting",
    "running",
    "failure",
    "success",
    "killed",
    "egressing",
    "finishing",
    "unrunnable",
)


def inspect_job_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_job(session: Session, arguments: Namespace) -> None:
    info = jobs.inspect_job(session.connection, the_job(session, arguments.job))
    show_one(session, arguments, info, lambda info: _lines(session, arguments, info))


def list_job_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", type=flags.set_id, default="")
    parser.add_argument("-p", "--pipeline", default="", help="jobs of one pipeline")
    parser.add_argument(
        "-i",
        "--input",
        action="append",
        default=[],
        metavar="REPO@COMMIT",
        help="jobs downstream of a commit",
    )
    parser.add_argument("-x", "--expand", action="store_true", help="list jobs, not job sets")
    parser.add_argument("--history", default="none", help="jobs of earlier versions of the pipelines too")
    parser.add_argument("--state", action="append", default=[], choices=STATES, help="jobs in a state")
    flags.add_project(parser)
    flags.add_all_projects(parser)
    flags.add_pager(parser)
    flags.add_output(parser)


def list_job(session: Session, arguments: Namespace) -> None:
    history = flags.history(arguments.history)
    if arguments.id:
        for flag in ("state", "input", "pipeline"):
            if getattr(arguments, flag):
                raise Usage(f"cannot specify '--{flag}' when listing sub-jobs")
        infos = list(jobs.inspect_jobset(session.connection, arguments.id))
        if not infos:
            session.say(f"no job has the id {arguments.id}")
        _show(session, arguments, infos)
    elif arguments.pipeline or arguments.expand or arguments.state or arguments.input:
        found = jobs.list_job(
            session.connection,
            arguments.pipeline,
            inputs=arguments.input,
            history=history,
            all_projects=arguments.all_projects,
        )
        wanted = {f"JOB_{state.upper()}" for state in arguments.state}
        _show(session, arguments, (info for info in found if not wanted or jobs.state_of(info) in wanted))
    else:
        sets = jobs.list_jobset(session.connection, all_projects=arguments.all_projects)
        show_list(session, arguments, sets, _SET_HEADER, lambda info: _set_row(session, arguments, info))


def wait_job_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job | id")
    flags.add_project(parser)
    flags.add_output(parser)


def wait_job(session: Session, arguments: Namespace) -> int | None:
    if is_commit_id(arguments.job):
        outcomes = wait_for_set(session, arguments.job)
        session.progress.close()
        _show(session, arguments, jobs.inspect_jobset(session.connection, arguments.job))
        return report(session, outcomes) if session.verbose else None
    job = the_job(session, arguments.job)
    with session.progress.waiting(lambda: how_far(session, job)):
        info = jobs.inspect_job(session.connection, job, wait=True)
    _show(session, arguments, [info])
    return None


def how_far(session: Session, job: str) -> str:
    """Say in a line how far a job is; what it waits for, where the server says so."""
    try:
        info = jobs.inspect_job(session.connection, job, details=False)
    except PachletError:
        return f"waiting for {job}"
    why = f": {info.reason}" if info.reason else ""
    return f"{job} is {state_word(session, jobs.state_of(info))}{why}, {_progress(info)} datums"


def subscribe_job_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pipeline")
    flags.add_project(parser)
    flags.add_output(parser)


def subscribe_job(session: Session, arguments: Namespace) -> None:
    session.print(" ".join(_HEADER)) if not wants_raw(arguments) else None
    for info in jobs.subscribe_job(session.connection, arguments.pipeline):
        if wants_raw(arguments):
            show_raw(session, arguments, [info])
        else:
            session.print(" ".join(_row(session, arguments, info)))
        session.out.flush()


def stop_job_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job")
    flags.add_project(parser)


def stop_job(session: Session, arguments: Namespace) -> None:
    jobs.stop_job(session.connection, the_job(session, arguments.job))


delete_job_arguments = stop_job_arguments


def delete_job(session: Session, arguments: Namespace) -> None:
    jobs.delete_job(session.connection, the_job(session, arguments.job))


def the_job(session: Session, text: str, *, pipeline: str = "") -> str:
    """Return `pipeline@id` for what was typed.

    An id alone will do where it can mean one job only; so will `pipeline@branch`, and the ancestry of that
    (`pipeline@master^`): the job that made the commit.
    """
    if not is_commit_id(text):
        where, at, made = text.partition("@")
        if not at or not made or is_commit_id(made):
            return text
        return f"{where}@{commits.inspect_commit(session.connection, text).commit.id}"
    if pipeline:
        return f"{pipeline}@{text}"
    found = [names.show_job(info.job) for info in jobs.inspect_jobset(session.connection, text)]
    if not found:
        raise NotFound(f"no job has the id {text}", hint=f"see `{session.program} list job`")
    if len(found) > 1:
        raise Usage(
            f"{text} is the id of {len(found)} jobs: {', '.join(found)}",
            hint=f"name one of them, or use `{session.program} list job {text}`",
        )
    return found[0]


def state_word(session: Session, state: str) -> str:
    """Return the word for a job's state, in its colour."""
    word = state.removeprefix("JOB_").lower()
    if state in ("JOB_STATE_UNKNOWN", "JOB_CREATED"):
        return "-" if state == "JOB_STATE_UNKNOWN" else "created"
    bad = state in jobs.TERMINAL and state != jobs.SUCCESS
    return coloured(session, "green" if state == jobs.SUCCESS else "red" if bad else "yellow", word)


def _show(session: Session, arguments: Namespace, infos: Iterable[Message]) -> None:
    show_list(session, arguments, infos, _HEADER, lambda info: _row(session, arguments, info))


def _row(session: Session, arguments: Namespace, info: Message) -> tuple[str, ...]:
    return (
        info.job.pipeline.project.name,
        info.job.pipeline.name,
        info.job.id,
        when(arguments, info.started) if info.HasField("started") else "-",
        _duration(info),
        str(info.restart),
        _progress(info),
        size(info.stats.download_bytes),
        size(info.stats.upload_bytes),
        _state(session, info),
    )


def _state(session: Session, info: Message) -> str:
    state = jobs.state_of(info)
    if info.reason:
        reason = _OF_DATUM.sub("", info.reason)
        cut = f"{reason[:_REASON].strip()}..." if len(reason) >= _REASON else reason
        return f"{state_word(session, state)}: {cut}"
    if state == jobs.SUCCESS and info.data_skipped == info.data_total:
        return coloured(session, "green", "success: there were no datums to process")
    return state_word(session, state)


def _progress(info: Message) -> str:
    recovered = f" + {info.data_recovered}" if info.data_recovered else ""
    return f"{info.data_processed} + {info.data_skipped}{recovered} / {info.data_total}"


def _duration(info: Message) -> str:
    if not info.HasField("finished") or not info.HasField("started"):
        return "-"
    return human_duration(seconds_of(info.finished) - seconds_of(info.started))


def _set_row(session: Session, arguments: Namespace, info: Message) -> tuple[str, ...]:
    states = [jobs.state_of(job) for job in info.jobs]
    good = states.count(jobs.SUCCESS)
    bad = sum(state in jobs.TERMINAL for state in states) - good
    created = sorted((job.created for job in info.jobs), key=lambda each: (each.seconds, each.nanos))
    return (
        info.job_set.id,
        str(len(states)),
        bar(session, good, len(states) - good - bad, bad),
        when(arguments, created[0]) if created else "-",
        when(arguments, created[-1]) if created else "-",
    )


def _lines(session: Session, arguments: Namespace, info: Message) -> Iterator[str]:
    details, stats = info.details, info.stats
    yield f"ID: {info.job.id}"
    yield f"Pipeline: {info.job.pipeline.name}"
    yield f"Project: {info.job.pipeline.project.name}"
    yield f"Started: {when(arguments, info.started)}"
    if info.HasField("finished"):
        yield f"Duration: {_duration(info)}"
    yield f"State: {state_word(session, jobs.state_of(info))}"
    yield f"Reason: {info.reason}".rstrip()
    yield f"Processed: {info.data_processed}"
    yield f"Failed: {info.data_failed}"
    yield f"Skipped: {info.data_skipped}"
    yield f"Recovered: {info.data_recovered}"
    yield f"Total: {info.data_total}"
    yield f"Data Downloaded: {size(stats.download_bytes)}"
    yield f"Data Uploaded: {size(stats.upload_bytes)}"
    yield f"Download Time: {human_duration(seconds_of(stats.download_time))}"
    yield f"Process Time: {human_duration(seconds_of(stats.process_time))}"
    yield f"Upload Time: {human_duration(seconds_of(stats.upload_time))}"
    for name, field in (("Datum Timeout", "datum_timeout"), ("Job Timeout", "job_timeout")):
        if details.HasField(field):
            yield f"{name}: {human_duration(seconds_of(getattr(details, field)))}"
    yield f"Restarts: {info.restart}"
    if details.HasField("parallelism_spec"):
        yield f"ParallelismSpec: {details.parallelism_spec.constant}"
    if details.HasField("input"):
        yield f"Input: {as_json(as_plain(details.input))}"
    yield f"Transform: {as_json(as_plain(details.transform))}"
    if info.HasField("output_commit"):
        yield f"Output Commit: {info.output_commit.id}"
