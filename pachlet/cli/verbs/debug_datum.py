"""debug datum, try: run one datum on this machine, outside of any server, or open a shell where it would run.

Read next: pachlet/remote/bench.py, docs/debug.md.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.job import the_job
from pachlet.cli.verbs.specs import read_specs
from pachlet.client.connection import Connection
from pachlet.config import default_envs
from pachlet.errors import Usage

if TYPE_CHECKING:
    from pachlet.remote.bench import Bench
    from pachlet.remote.datum import OneDatum

debug_datum_status = "0 when the step succeeded, or the shell's, 1 when it failed, 2 when the words are off."
do_try_status = debug_datum_status
_RUNNERS = ("auto", "process", "container")


def debug_datum_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job")
    parser.add_argument("datum", help="its id, the beginning of that, or the path of an input file")
    parser.add_argument("--run", action="store_true", help="run the step, rather than a shell in its place")
    parser.add_argument(
        "--code",
        type=Path,
        default=None,
        metavar="DIR",
        help="the code in DIR (images/) as it is, not what ran",
    )
    _add_common(parser)


def debug_datum(session: Session, arguments: Namespace) -> int:
    def find(connection: Connection) -> OneDatum:
        from pachlet.remote.datum import datum_of_job

        return datum_of_job(connection, the_job(session, arguments.job), arguments.datum)

    return _work(session, arguments, find, f"{arguments.project} {arguments.job} {arguments.datum}")


def do_try_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("spec", help="a file, a URL, or - for standard input")
    parser.add_argument(
        "--datum", default="", metavar="PATH", help="which: a path or an id (default: the first)"
    )
    parser.add_argument(
        "--shell", action="store_true", help="a shell in the step's place, rather than the step"
    )
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="the folder that holds images/ (default: .)"
    )
    _add_common(parser)


def do_try(session: Session, arguments: Namespace) -> int:
    specs = read_specs(session, arguments.spec)
    if len(specs) != 1:
        raise Usage(f"{arguments.spec} has {len(specs)} specs; one is tried at a time")
    arguments.run = not arguments.shell

    def find(connection: Connection) -> OneDatum:
        from pachlet.remote.datum import datum_of_spec

        return datum_of_spec(connection, specs[0], arguments.datum)

    return _work(session, arguments, find, f"{arguments.project} {arguments.spec} {arguments.datum}")


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=Path,
        default=None,
        metavar="DIR",
        help="leave its folder; one that is there is used again",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one more variable, such as a secret's",
    )
    parser.add_argument("--network", action="store_true", help="let the step reach the network")
    parser.add_argument("--runner", choices=_RUNNERS, default="auto", help="how it is run (default auto)")
    parser.add_argument(
        "--envs", type=Path, default=None, metavar="DIR", help="where images' environments are kept"
    )
    flags.add_project(parser)


def _work(session: Session, arguments: Namespace, find: Callable[[Connection], OneDatum], asked: str) -> int:
    from pachlet.remote.bench import NOTE, Bench, Wishes, lay_out, open_runner

    environ = dict(_pair(each) for each in arguments.env)
    with ExitStack() as stack:
        folder = arguments.keep
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pachlet-datum-")))
        code, envs = (arguments.code or Path()).absolute(), (arguments.envs or default_envs()).absolute()
        runner = open_runner(arguments.runner, code, envs)  # before there is a connection
        stack.callback(runner.close)
        is_kept = (folder / NOTE).exists()
        if not is_kept:
            datum = find(session.connection)
            lay_out(session.connection, datum, folder, session.progress.step, asked=asked)
            session.progress.close()
        bench = Bench(
            folder, runner, Wishes(environ, arguments.network, arguments.code is not None), session.say
        )
        if not is_kept:
            bench.make_ready(session.connection)
        elif (
            bench.note.get("asked") != asked
        ):  # the same words mean the same, and the server may be gone by now
            bench.check_holds(find(session.connection))
        _introduce(session, bench, is_kept=is_kept, is_left=arguments.keep is not None)
        return _run(session, bench) if arguments.run else _shell(session, bench)


def _introduce(session: Session, bench: Bench, *, is_kept: bool, is_left: bool) -> None:
    note = bench.note
    ended = f", which ended as {note['ended']}" if note["ended"] else ""
    session.say(f"datum {note['datum'][:12]} of {note['pipeline']}{ended}")
    if is_left:
        used = "is used as it is" if is_kept else "has its inputs (pfs), its code and datum.json"
        session.say(f"{bench.folder} {used}")


def _run(session: Session, bench: Bench) -> int:
    outcome, written = bench.run(session.print)
    session.out.flush()
    if not outcome.ok:
        session.say(f"failed after {outcome.seconds:.1f} s: {outcome.reason}")
        return 1
    session.say(f"succeeded after {outcome.seconds:.1f} s")
    for path in written:
        session.say(f"wrote /pfs/out{path}")
    return 0


def _shell(session: Session, bench: Bench) -> int:
    transform = bench.note["spec"]["transform"]
    session.say(f"the step is: {' '.join(transform.get('cmd') or [])}")
    session.out.flush()
    return bench.shell().exit_code or 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Usage(f"{text!r} is no variable", hint="write --env NAME=VALUE")
    return name, value
