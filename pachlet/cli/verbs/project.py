"""create, update, inspect, list and delete project.

Read next: repo.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import in_full, show_list, show_one, when
from pachlet.cli.session import Session
from pachlet.client import projects
from pachlet.client.connection import Message
from pachlet.errors import Refused


def create_project_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="project")
    parser.add_argument("-d", "--description", default="", help="what the project is for")


def create_project(session: Session, arguments: Namespace) -> None:
    projects.create_project(session.connection, arguments.name, description=arguments.description)


update_project_arguments = create_project_arguments


def update_project(session: Session, arguments: Namespace) -> None:
    projects.create_project(
        session.connection, arguments.name, description=arguments.description, update=True
    )


def inspect_project_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="project")
    flags.add_output(parser)


def inspect_project(session: Session, arguments: Namespace) -> None:
    info, defaults = projects.inspect_project_with_defaults(session.connection, arguments.name)

    def lines(info: Message) -> Iterator[str]:
        yield f"Name: {info.project.name}"
        if info.description:
            yield f"Description: {info.description}"
        if info.HasField("created_at"):
            yield f"Created at: {in_full(info.created_at)}"
        if defaults:
            yield f"Defaults: {defaults}"

    show_one(session, arguments, info, lines)


def list_project_arguments(parser: ArgumentParser) -> None:
    flags.add_output(parser)


def list_project(session: Session, arguments: Namespace) -> None:
    active = session.connection.project

    def row(info: Message) -> tuple[str, ...]:
        mark = "*" if info.project.name == active else ""
        return mark, info.project.name, when(arguments, info.created_at), info.description or "-"

    infos = projects.list_project(session.connection)
    show_list(session, arguments, infos, ("ACTIVE", "PROJECT", "CREATED", "DESCRIPTION"), row)


def delete_project_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="project")
    flags.add_force(parser)


def delete_project(session: Session, arguments: Namespace) -> None:
    pipelines, repos = projects.contents(session.connection, arguments.name)
    for name in pipelines:
        session.say(f"This will delete pipeline {name}")
    for name in repos:
        session.say(f"This will delete repo {name}")
    question = f"This deletes project {arguments.name} with all that is in it. Are you sure?"
    if (pipelines or repos) and not arguments.force and not session.confirm(question):
        raise Refused("nothing was deleted")
    projects.delete_project(session.connection, arguments.name, force=arguments.force)
    if arguments.name == session.connection.project:
        session.say(
            f"warning: deleted current project {arguments.name};"
            f" choose another with `{session.program} config update context --project PROJECT`"
        )
