"""inspect, list and restart datum.

Read next: logs.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from pachlet.cli import flags
from pachlet.cli.output import coloured, human_duration, seconds_of, show_list, show_one, size
from pachlet.cli.session import Session
from pachlet.cli.verbs.job import the_job
from pachlet.cli.verbs.specs import read_specs
from pachlet.client import datums, names
from pachlet.client.connection import Message
from pachlet.client.datum_search import datum_id
from pachlet.client.ran import code_rows
from pachlet.errors import Usage

_HEADER = ("ID", "FILES", "STATUS", "TIME")
_COLOURS = {
    "success": "green",
    "failed": "red",
    "skipped": "yellow",
    "recovered": "yellow",
    "starting": "yellow",
}


def inspect_datum_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job")
    parser.add_argument("datum", help="its id, the beginning of that, or the path of an input file")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_datum(session: Session, arguments: Namespace) -> None:
    job = the_job(session, arguments.job)
    datum = datum_id(session.connection, job, arguments.datum)
    info = datums.inspect_datum(session.connection, job, datum)
    show_one(
        session, arguments, info, lambda info: _lines(info, datums.datum_record(session.connection, info))
    )


def list_datum_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", nargs="?", default="", metavar="pipeline@job")
    parser.add_argument(
        "-f", "--file", default="", metavar="SPEC", help="the datums that a spec would have now"
    )
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        choices=("failed", "success", "skipped", "recovered"),
        help="datums in a state (pachlet's own)",
    )
    flags.add_project(parser)
    flags.add_output(parser)


def list_datum(session: Session, arguments: Namespace) -> None:
    if bool(arguments.job) == bool(arguments.file):
        raise Usage("list datum takes a job, or -f with a spec")
    if arguments.file:
        infos: Iterator[Message] = (
            info
            for spec in read_specs(session, arguments.file)
            for info in datums.list_datum_of_spec(session.connection, spec)
        )
    else:
        states = [state.upper() for state in arguments.state]
        infos = datums.list_datum(session.connection, the_job(session, arguments.job), states=states)

    def row(info: Message) -> tuple[str, ...]:
        shown = ", ".join(_compact(each.file) for each in info.data)
        return info.datum.id or "-", shown, _state(session, info), _time(info)

    show_list(session, arguments, infos, _HEADER, row)


def restart_datum_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job")
    parser.add_argument("paths", metavar="path,...")
    flags.add_project(parser)


def restart_datum(session: Session, arguments: Namespace) -> None:
    paths = [path for path in arguments.paths.split(",") if path]
    datums.restart_datum(session.connection, the_job(session, arguments.job), paths)


def _lines(info: Message, record: Mapping[str, Any]) -> Iterator[str]:
    stats = info.stats
    peak = record.get("stats", {}).get("peak_memory")
    rows = (
        ("ID", info.datum.id),
        ("Job ID", info.datum.job.id),
        ("Image ID", info.image_id),
        ("State", _word(info).upper()),
        *([("Reason", record["reason"])] if record.get("reason") else []),
        ("Data Downloaded", size(stats.download_bytes)),
        ("Data Uploaded", size(stats.upload_bytes)),
        ("Total Time", f"{_seconds(info):.3f}s"),
        ("Download Time", f"{seconds_of(stats.download_time):.3f}s"),
        ("Process Time", f"{seconds_of(stats.process_time):.3f}s"),
        ("Upload Time", f"{seconds_of(stats.upload_time):.3f}s"),
        *([("Peak Memory", size(peak))] if peak is not None else []),
    )
    for name, value in [*rows, *code_rows(record)]:
        yield f"{name}\t{value}"
    yield "PFS State:"
    yield f"  {names.show_file(info.pfs_state)}" if info.HasField("pfs_state") else "  -"
    yield "Inputs:"
    for each in info.data:
        yield f"  {names.show_file(each.file)}"


def _compact(file: Message) -> str:
    return f"{file.commit.repo.name}@{file.commit.id}:{file.path}"


def _state(session: Session, info: Message) -> str:
    word = _word(info)
    return coloured(session, _COLOURS[word], word) if word in _COLOURS else "-"


def _word(info: Message) -> str:
    from pachlet.wire import schema

    return schema.enum_name("pps_v2.DatumState", info.state).lower()


def _time(info: Message) -> str:
    return human_duration(_seconds(info)) if info.HasField("stats") else "-"


def _seconds(info: Message) -> float:
    stats = info.stats
    return sum(seconds_of(part) for part in (stats.download_time, stats.process_time, stats.upload_time))
