"""create, update, inspect, list and delete repo.

Read next: branch.py, commit.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import show_list, show_one, size, when
from pachlet.cli.session import Session
from pachlet.client import projects, repos
from pachlet.client.connection import Message
from pachlet.errors import Usage
from pachlet.paths import USER

_HEADER = ("PROJECT", "NAME", "CREATED", "SIZE (MASTER)", "DESCRIPTION")


def create_repo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("repo")
    parser.add_argument("-d", "--description", default="", help="what the repo is for")
    flags.add_project(parser)


def create_repo(session: Session, arguments: Namespace) -> None:
    repos.create_repo(session.connection, arguments.repo, description=arguments.description)


update_repo_arguments = create_repo_arguments


def update_repo(session: Session, arguments: Namespace) -> None:
    if not session.connection.transaction:  # an update must not create
        repos.inspect_repo(session.connection, arguments.repo)
    repos.create_repo(session.connection, arguments.repo, description=arguments.description, update=True)


def inspect_repo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("repo")
    flags.add_project(parser)
    flags.add_output(parser)


def inspect_repo(session: Session, arguments: Namespace) -> None:
    def lines(info: Message) -> Iterator[str]:
        yield f"Name: {info.repo.name}"
        if info.description:
            yield f"Description: {info.description}"
        yield f"Created: {when(arguments, info.created)}"
        if info.HasField("details"):
            yield f"Size of HEAD on master: {size(info.details.size_bytes)}"

    show_one(session, arguments, repos.inspect_repo(session.connection, arguments.repo), lines)


def list_repo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="repos of all types, those of pipelines too")
    parser.add_argument(
        "--type", default=USER, type=str.lower, choices=("user", "spec", "meta"), help="repos of one type"
    )
    flags.add_project(parser)
    flags.add_all_projects(parser)
    flags.add_output(parser)


def list_repo(session: Session, arguments: Namespace) -> None:
    infos = repos.list_repo(
        session.connection,
        type="" if arguments.all else arguments.type,
        all_projects=arguments.all_projects,
    )

    def of_a_project() -> Iterator[Message]:
        is_empty = True
        for info in infos:
            is_empty = False
            yield info
        if is_empty and not arguments.all_projects:
            projects.inspect_project(session.connection, session.connection.project)  # or it is not there

    def row(info: Message) -> tuple[str, ...]:
        name = info.repo.name if info.repo.type == USER else f"{info.repo.name}.{info.repo.type}"
        shown = (
            size(info.details.size_bytes)
            if info.HasField("details")
            else f"≤ {size(info.size_bytes_upper_bound)}"
        )
        return info.repo.project.name, name, when(arguments, info.created), shown, info.description

    show_list(session, arguments, of_a_project(), _HEADER, row)


def delete_repo_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("repo", nargs="?", default="")
    parser.add_argument("--all", action="store_true", help="delete all repos")
    flags.add_force(parser)
    flags.add_project(parser)
    flags.add_all_projects(parser)


def delete_repo(session: Session, arguments: Namespace) -> None:
    if arguments.all == bool(arguments.repo):
        raise Usage("delete repo takes the name of a repo, or --all")
    if arguments.all_projects and not arguments.all:
        raise Usage("cannot use the --all-projects flag with an argument")
    if arguments.all:
        repos.delete_repos(session.connection, all_projects=arguments.all_projects, force=arguments.force)
        return
    if not session.connection.transaction:  # deleting what is not there is no error for a server
        repos.inspect_repo(session.connection, arguments.repo)
    repos.delete_repo(session.connection, arguments.repo, force=arguments.force)
