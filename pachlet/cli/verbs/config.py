"""config get, set, update, delete and list: the contexts and the few settings that clients share.

    config get active-context | context [NAME] | metrics
    config set active-context NAME | context NAME (JSON on the input) | metrics true|false
    config update context [NAME] --project P --pachd-address A
    config delete context NAME
    config list context

Read next: connect.py, pachlet/client/context.py.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from pachlet.cli.output import Table, as_json
from pachlet.cli.session import Session
from pachlet.client.connection import Address
from pachlet.client.context import (
    active,
    config_path,
    contexts,
    read_config,
    set_active,
    set_context,
    write_config,
)
from pachlet.errors import NotFound, Usage


def config_get_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("active-context", "context", "metrics"))
    parser.add_argument("name", nargs="?", default="")


def config_get(session: Session, arguments: Namespace) -> None:
    config = read_config(config_path(session.environ))
    if arguments.what == "active-context":
        session.print(active(config)[0])
    elif arguments.what == "metrics":
        session.print(str(bool((config.get("v2") or {}).get("metrics"))).lower())
    else:
        session.print(as_json(_context(config, arguments.name or active(config)[0])))


def config_set_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("active-context", "context", "metrics"))
    parser.add_argument("value", metavar="name-or-value")
    parser.add_argument("--overwrite", action="store_true", help="replace a context that is there already")


def config_set(session: Session, arguments: Namespace) -> None:
    path = config_path(session.environ)
    config = read_config(path)
    if arguments.what == "active-context":
        config = set_active(config, arguments.value)
    elif arguments.what == "metrics":
        if arguments.value not in ("true", "false"):
            raise Usage("metrics is true or false")
        config.setdefault("v2", {})["metrics"] = arguments.value == "true"
    else:
        if arguments.value in contexts(config) and not arguments.overwrite:
            raise Usage(f"context {arguments.value} exists", hint="add --overwrite to replace it")
        before = active(config)[0]
        contexts(config).pop(arguments.value, None)
        config = set_context(config, arguments.value, **_fields(session))
        config["v2"]["active_context"] = before or arguments.value
    write_config(path, config)


def config_update_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("context",))
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--project", default=None, metavar="P", help="the project that names belong to")
    parser.add_argument("--pachd-address", default=None, metavar="A", help="where the server listens")


def config_update(session: Session, arguments: Namespace) -> None:
    path = config_path(session.environ)
    config = read_config(path)
    before = active(config)[0]
    name = arguments.name or before
    _context(config, name)
    fields = {}
    if arguments.project is not None:
        fields["project"] = arguments.project
    if arguments.pachd_address is not None:
        fields["pachd_address"] = Address(arguments.pachd_address).url
    config = set_context(config, name, **fields)
    config["v2"]["active_context"] = before
    write_config(path, config)


def config_delete_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("context",))
    parser.add_argument("name")


def config_delete(session: Session, arguments: Namespace) -> None:
    path = config_path(session.environ)
    config = read_config(path)
    _context(config, arguments.name)
    if active(config)[0] == arguments.name:
        raise Usage(
            "cannot delete an active context", hint=f"{session.program} config set active-context NAME"
        )
    del contexts(config)[arguments.name]
    write_config(path, config)


def config_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", choices=("context",))


def config_list(session: Session, arguments: Namespace) -> None:
    config = read_config(config_path(session.environ))
    current = active(config)[0]
    table = Table(session, "ACTIVE", "NAME")
    for name in sorted(contexts(config)):
        table.add("*" if name == current else "", name)
    table.show()


def _context(config: dict[str, Any], name: str) -> dict[str, Any]:
    if not name:
        raise NotFound("no context is active", hint="make one with `pachctl connect HOST:PORT`")
    if name not in contexts(config):
        raise NotFound(f"context does not exist: {name}", hint="see `pachctl config list context`")
    return contexts(config)[name]


def _fields(session: Session) -> dict[str, str]:
    try:
        fields = json.loads(session.read_text("-"))
    except ValueError as error:
        raise Usage(f"the context on the input is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Usage("the context on the input is not a JSON object")
    return fields
