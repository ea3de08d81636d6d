"""logs: what steps printed, of a pipeline, a job or one datum.

As in pachctl, only the lines of the steps themselves are shown, unless the master's or the worker's are asked
for.

Read next: pachlet/client/logs.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial

from pachlet.cli import flags
from pachlet.cli.output import as_json, as_plain
from pachlet.cli.session import Session
from pachlet.cli.verbs.job import the_job
from pachlet.client import names
from pachlet.client.connection import Message
from pachlet.client.datum_search import datum_id
from pachlet.client.jobs import list_job
from pachlet.client.logs import get_logs
from pachlet.errors import Usage


def logs_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-p", "--pipeline", default="", help="lines of one pipeline")
    parser.add_argument("-j", "--job", default="", metavar="PIPELINE@JOB", help="lines of one job")
    parser.add_argument(
        "--datum",
        default="",
        help="lines of one datum: its id, or, as the job (or the pipeline's last) has it, the beginning of that or the"
        " path of an input file",
    )
    parser.add_argument("--inputs", default="", metavar="PATH,...", help="lines about these input files")
    parser.add_argument("--master", action="store_true", help="lines of the engine, about the pipeline")
    parser.add_argument("--worker", action="store_true", help="lines of the engine, about running datums")
    parser.add_argument(
        "--raw", action="store_true", help="every line with all that is known about it, as JSON"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as more comes")
    parser.add_argument(
        "-t", "--tail", type=flags.count, default=0, metavar="N", help="only the last N lines"
    )
    parser.add_argument("--since", default="", metavar="24h", help="only lines of this time")
    flags.add_project(parser)


def logs(session: Session, arguments: Namespace) -> None:
    if arguments.pipeline and arguments.job and "@" in arguments.job:
        raise Usage("only one of pipeline or job should be specified")
    job = the_job(session, arguments.job, pipeline=arguments.pipeline) if arguments.job else ""
    datum = _datum_of(session, arguments, job) if arguments.datum else ""
    ask = partial(
        get_logs,
        session.connection,
        pipeline="" if job else arguments.pipeline,
        job=job,
        datum=datum,
        inputs=[path for path in arguments.inputs.split(",") if path],
        master=arguments.master,
        since=flags.duration(arguments.since) if arguments.since else None,
    )
    tail = _tail_of(arguments, ask) if arguments.tail else 0
    is_silent = True
    for message in ask(follow=arguments.follow, tail=tail):
        if _wanted(arguments, message):
            is_silent = False
            session.print(as_json(as_plain(message)) if arguments.raw else message.message.rstrip("\n"))
        if arguments.follow:
            session.out.flush()
    if is_silent and datum != arguments.datum:  # it is there
        session.say(f"datum {datum[:12]} has no such line; --worker shows what was done with it")
    elif is_silent and (datum or arguments.inputs):
        named = f"datum {datum}" if datum else f"a datum that read {arguments.inputs}"
        session.say(
            f"no line is of {named}; `{session.program} list datum PIPELINE@JOB` shows which there are"
        )


def _datum_of(session: Session, arguments: Namespace, job: str) -> str:
    """Return a datum's id; of a pipeline, what is no id is looked up in the last job, as ids are the same in all."""
    if not job and arguments.pipeline:
        last = next(list_job(session.connection, arguments.pipeline, number=1, details=False), None)
        job = names.show_job(last.job) if last is not None else ""
    return datum_id(session.connection, job, arguments.datum) if job else str(arguments.datum)


def _tail_of(arguments: Namespace, ask: Callable[..., Iterator[Message]]) -> int:
    """Return how many of the last lines the server must give so that as many are shown as were asked for.

    A server counts all lines, also those that are not shown.
    """
    wanted: int = arguments.tail
    tail = wanted
    while True:
        last = list(ask(tail=tail))
        shown = [number for number, message in enumerate(last) if _wanted(arguments, message)]
        if len(shown) >= wanted:
            return len(last) - shown[-wanted]
        if len(last) < tail:
            return tail
        tail *= 4


def _wanted(arguments: Namespace, message: Message) -> bool:
    if arguments.raw:
        return True
    if not arguments.pipeline and not arguments.job:
        return True  # the server's own log
    if arguments.master:
        return bool(message.master)
    if arguments.worker:
        return not message.user and not message.master
    return bool(message.user)
