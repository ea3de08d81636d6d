"""create, inspect, list and delete secret.

Read next: pachlet/client/secrets.py.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from pachlet.cli import flags
from pachlet.cli.output import show_list, show_one, when
from pachlet.cli.session import Session
from pachlet.client import secrets
from pachlet.client.connection import Message
from pachlet.errors import InvalidArgument

_HEADER = ("NAME", "TYPE", "CREATED")
_HINT = (
    'as Kubernetes has it: {"kind": "Secret", "metadata": {"name": "..."}, "stringData": {"key": "value"}}'
)


def create_secret_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--file", required=True, metavar="F", help="Kubernetes' JSON: a file, a URL or -"
    )


def create_secret(session: Session, arguments: Namespace) -> None:
    content = session.read_bytes(arguments.file)
    try:
        is_object = isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        source = "the standard input" if arguments.file == "-" else arguments.file
        raise InvalidArgument(f"{source} does not hold a secret", hint=_HINT)
    secrets.create_secret(session.connection, content)


def inspect_secret_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("secret")
    flags.add_output(parser)


def inspect_secret(session: Session, arguments: Namespace) -> None:
    def lines(info: Message) -> Iterator[str]:
        yield f"Name: {info.secret.name}"
        yield f"Type: {info.type}"
        yield f"Created: {when(arguments, info.creation_timestamp)}"

    show_one(session, arguments, secrets.inspect_secret(session.connection, arguments.secret), lines)


def list_secret_arguments(parser: ArgumentParser) -> None:
    flags.add_output(parser)


def list_secret(session: Session, arguments: Namespace) -> None:
    def row(info: Message) -> tuple[str, ...]:
        return info.secret.name, info.type, when(arguments, info.creation_timestamp)

    show_list(session, arguments, secrets.list_secret(session.connection), _HEADER, row)


def delete_secret_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("secret")


def delete_secret(session: Session, arguments: Namespace) -> None:
    secrets.delete_secret(session.connection, arguments.secret)
