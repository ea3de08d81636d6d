"""validate pipeline: tell whether a spec could make a pipeline, without a server.

Read next: lint.py, which also finds what is accepted and not meant, and mends it.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.specs import read_specs


def validate_pipeline_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--file", default="-", metavar="SPEC", help="JSON or YAML: a file, a URL or -")
    flags.add_project(parser)


def validate_pipeline(session: Session, arguments: Namespace) -> None:
    specs = read_specs(session, arguments.file)
    if session.talkative:
        session.say(f"valid: {', '.join(spec['pipeline']['name'] for spec in specs)}")
