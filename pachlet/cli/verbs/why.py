"""why: why a datum of a job ran or was kept, and what is different from the last time.

Read next: pachlet/client/why.py, trace.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from pachlet.cli import flags
from pachlet.cli.output import show_value
from pachlet.cli.session import Session
from pachlet.cli.verbs.job import the_job
from pachlet.client.why import why as explain


def why_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="pipeline@job")
    parser.add_argument("datum", help="its id, the beginning of that, or the path of an input file")
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the answer as data")
    flags.add_project(parser)


def why(session: Session, arguments: Namespace) -> None:
    found = explain(session.connection, the_job(session, arguments.job), arguments.datum)
    if arguments.output:
        show_value(session, arguments.output, asdict(found))
        return
    session.print(f"datum {found.datum[:12]} of {found.pipeline}@{found.job}: {found.state.lower()}")
    for file in found.files:
        session.print(f"  {file}")
    for sentence in found.sentences:
        session.print(sentence)
