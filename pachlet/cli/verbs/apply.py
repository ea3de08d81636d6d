"""apply: create or update pipelines where their spec or their code changed, and say why.

Read next: pachlet/client/apply.py (what is compared), ../code.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli import flags
from pachlet.cli.session import Session
from pachlet.cli.verbs.grouping import warnings_at_the_end
from pachlet.cli.verbs.specs import read_specs, spec_files


def apply_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="path", help="a spec, or a folder of specs")
    parser.add_argument(
        "--code", type=Path, default=Path(), metavar="DIR", help="where images/ is (default: here)"
    )
    flags.add_project(parser)


def apply(session: Session, arguments: Namespace) -> None:
    from pachlet.cli.code import code_under
    from pachlet.client.apply import apply_specs

    sources = [source for path in arguments.paths for source in spec_files(path)]
    specs = [spec for source in sources for spec in read_specs(session, source)]
    with warnings_at_the_end(session) as warnings:
        apply_specs(
            session.connection,
            specs,
            code_under(arguments.code),
            tell=lambda done: session.print(str(done)),
            sending=warnings.sending,
        )
