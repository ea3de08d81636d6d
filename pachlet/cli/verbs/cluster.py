"""version, inspect cluster and delete all.

Read next: connect.py.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from pachlet import __version__
from pachlet.cli import flags
from pachlet.cli.output import Table, show_one, show_raw, show_value, wants_raw
from pachlet.cli.session import Session
from pachlet.client import cluster
from pachlet.client.connection import Message
from pachlet.client.context import active_transaction, set_transaction
from pachlet.errors import Refused


def version_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--client-only", action="store_true", help="only this program's version")
    parser.add_argument(
        "--timeout", type=flags.seconds, default=0.0, metavar="10s", help="how long to wait for the server"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help=f"status 1 unless the server is of Pachyderm {cluster.SPOKEN}, as this program",
    )
    flags.add_raw(parser)


def version(session: Session, arguments: Namespace) -> int:
    if wants_raw(arguments):
        return _raw_versions(session, arguments)
    if arguments.client_only:
        session.print(__version__)
        return 0
    table = Table(session, "COMPONENT", "VERSION")
    table.add("pachctl", f"{__version__} (pachlet)")
    table.show()
    found = cluster.get_version(session.connection, timeout=arguments.timeout or None)
    table.add("pachd", cluster.in_words(found))
    if "pachlet" in found.additional and (described := cluster.describe(session.connection)) is not None:
        table.add("runner", described.runner)
        table.add("limits", _limits(described.limits))
    table.show()
    return _compared(arguments, found)


def _limits(means: Mapping[str, str]) -> str:
    """Say by what each limit of a step's is kept, those that are kept alike together."""
    alike: dict[str, list[str]] = {}
    for limit, by in sorted(means.items()):
        alike.setdefault(by, []).append(limit)
    return "; ".join(f"{', '.join(limits)}: {by}" for by, limits in alike.items())


def inspect_cluster_arguments(parser: ArgumentParser) -> None:
    flags.add_raw(parser)


def inspect_cluster(session: Session, arguments: Namespace) -> None:
    info = cluster.inspect_cluster(session.connection)
    for warning in info.warnings:
        session.say(f"warning: {warning}")
    show_one(session, arguments, info, lambda info: [info.id])


def delete_all_arguments(parser: ArgumentParser) -> None:
    return


def delete_all(session: Session, arguments: Namespace) -> None:
    where = session.connection.address
    held = active_transaction(session.environ)
    if not session.confirm(f"This deletes every repo, pipeline and commit at {where}. Are you sure?"):
        raise Refused("nothing was deleted")
    cluster.delete_all(session.connection)
    if held:
        set_transaction(session.environ, "")


def _raw_versions(session: Session, arguments: Namespace) -> int:
    form = arguments.output or "json"
    major, minor, micro = (int(part) for part in __version__.split("."))
    show_value(session, form, {"major": major, "minor": minor, "micro": micro, "additional": "pachlet"})
    if arguments.client_only:
        return 0
    found = cluster.get_version(session.connection, timeout=arguments.timeout or None)
    show_raw(session, arguments, [found])
    return _compared(arguments, found)


def _compared(arguments: Namespace, found: Message) -> int:
    return int(arguments.compare and f"{found.major}.{found.minor}" != cluster.SPOKEN)
