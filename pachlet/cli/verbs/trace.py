"""trace: everything that a file was made from, down to what users put and the code that ran.

Read next: pachlet/client/provenance.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from pachlet.cli import flags
from pachlet.cli.output import show_value
from pachlet.cli.session import Session
from pachlet.client.provenance import trace as follow
from pachlet.client.provenance import tree


def trace_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="[project/]repo@branch-or-commit:path")
    parser.add_argument(
        "--limit", type=int, default=3, metavar="N", help="datums to follow behind a folder (default 3)"
    )
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the whole tree as data")
    flags.add_project(parser)


def trace(session: Session, arguments: Namespace) -> None:
    traced = follow(session.connection, arguments.file, limit=arguments.limit)
    if arguments.output:
        show_value(session, arguments.output, asdict(traced))
        return
    for line in tree(traced):
        session.print(line)
