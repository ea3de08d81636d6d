"""version, inspect cluster and delete all.

Read next: connect.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet import __version__
from pachlet.cli import flags
from pachlet.cli.output import Table, show_one
from pachlet.cli.session import Session
from pachlet.client import cluster
from pachlet.client.connection import Message
from pachlet.errors import Refused


def version_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--client-only", action="store_true", help="only this program's version")


def version(session: Session, arguments: Namespace) -> None:
    if arguments.client_only:
        session.print(__version__)
        return
    table = Table(session, "COMPONENT", "VERSION")
    table.add("pachctl", f"{__version__} (pachlet)")
    table.show()
    table.add("pachd", cluster.get_version(session.connection))
    table.show()


def inspect_cluster_arguments(parser: ArgumentParser) -> None:
    flags.add_output(parser)


def inspect_cluster(session: Session, arguments: Namespace) -> None:
    def lines(info: Message) -> Iterator[str]:
        yield f"ID: {info.id}"
        yield f"Deployment ID: {info.deployment_id}"
        yield f"Address: {session.connection.address}"
        for warning in info.warnings:
            yield f"Warning: {warning}"

    show_one(session, arguments, cluster.inspect_cluster(session.connection), lines)


def delete_all_arguments(parser: ArgumentParser) -> None:
    return


def delete_all(session: Session, arguments: Namespace) -> None:
    where = session.connection.address
    if not session.confirm(f"This deletes every repo, pipeline and commit at {where}. Are you sure?"):
        raise Refused("nothing was deleted")
    cluster.delete_all(session.connection)
