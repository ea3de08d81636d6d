"""create, inspect, update and delete defaults: what all specs of the cluster, or of a project, share.

Read next: pachlet/client/defaults.py.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

from pachlet.cli.output import show_value
from pachlet.cli.session import Session
from pachlet.client import defaults, names
from pachlet.errors import Usage


def create_defaults_arguments(parser: ArgumentParser) -> None:
    _add_whose(parser)
    parser.add_argument(
        "-f", "--file", default="-", metavar="F", help="JSON: a file, a URL or - (default: -)"
    )
    _add_effects(parser)


def create_defaults(session: Session, arguments: Namespace) -> None:
    _set(session, arguments, session.read_text(arguments.file))


update_defaults_arguments = create_defaults_arguments
update_defaults = create_defaults


def inspect_defaults_arguments(parser: ArgumentParser) -> None:
    _add_whose(parser)
    parser.add_argument("-o", "--output", choices=("json", "yaml"), help="the form (default: json)")
    parser.add_argument("--raw", action="store_true", help="accepted and not needed")


def inspect_defaults(session: Session, arguments: Namespace) -> None:
    text = defaults.get_defaults(session.connection, _project(arguments)) or defaults.NONE
    if arguments.output:
        show_value(session, arguments.output, json.loads(text))
    else:
        session.print(text.rstrip("\n"))


def delete_defaults_arguments(parser: ArgumentParser) -> None:
    _add_whose(parser)
    _add_effects(parser)


def delete_defaults(session: Session, arguments: Namespace) -> None:
    _set(session, arguments, defaults.NONE)


def _add_whose(parser: ArgumentParser) -> None:
    parser.add_argument("--cluster", action="store_true", help="those of the cluster")
    parser.add_argument("--project", default="", metavar="P", help="those of a project")


def _add_effects(parser: ArgumentParser) -> None:
    parser.add_argument("--regenerate", action="store_true", help="update the pipelines that this changes")
    parser.add_argument("--reprocess", action="store_true", help="and process all their datums again")
    parser.add_argument("--dry-run", action="store_true", help="only say which pipelines this would change")


def _project(arguments: Namespace) -> str:
    """Return the project whose defaults are meant; "" for those of the cluster."""
    if arguments.cluster == bool(arguments.project):
        raise Usage("say whose defaults: --cluster, or --project with a name")
    return str(arguments.project)


def _set(session: Session, arguments: Namespace, text: str) -> None:
    project = _project(arguments)
    if arguments.reprocess and not arguments.regenerate:
        raise Usage("--reprocess needs --regenerate")
    changed = defaults.set_defaults(
        session.connection,
        text,
        project,
        regenerate=arguments.regenerate,
        reprocess=arguments.reprocess,
        dry_run=arguments.dry_run,
    )
    if changed and (arguments.regenerate or arguments.dry_run):
        told = "would change" if arguments.dry_run else "changed"
        for pipeline in changed:
            session.print(f"{told} pipeline {names.show_pipeline(pipeline)}")
