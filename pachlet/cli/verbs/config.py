"""config get, set, update, delete and list: the contexts and the few settings that clients share.

    config get active-context | active-enterprise-context | context [NAME] | metrics
    config set active-context NAME | active-enterprise-context NAME | context NAME (JSON on the input)
               | metrics true|false
    config update context [NAME] --project P --pachd-address A ...
    config delete context NAME
    config list context

Read next: connect.py, pachlet/client/context.py.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import Any

from pachlet.cli.output import as_json
from pachlet.cli.session import Session
from pachlet.client.connection import Address
from pachlet.client.context import (
    active,
    config_path,
    contexts,
    is_context,
    read_config,
    set_active,
    set_context,
    write_config,
)
from pachlet.errors import NotFound, Usage

_SETTINGS = ("active-context", "active-enterprise-context", "context", "metrics")
_FIELDS = {
    "project": ("project", "the project that names belong to"),
    "pachd-address": ("pachd_address", "where the server listens"),
    "server-cas": ("server_cas", "the certificates to trust, in base64"),
    "cluster-name": ("cluster_name", "the Kubernetes cluster"),
    "auth-info": ("auth_info", "the Kubernetes user"),
    "namespace": ("namespace", "the Kubernetes namespace"),
}
"""What can be changed in a context: the flag, the field, and what it is."""


def config_get_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", type=_singular, choices=_SETTINGS)
    parser.add_argument("name", nargs="?", default="")


def config_get(session: Session, arguments: Namespace) -> None:
    config = read_config(config_path(session.environ))
    if arguments.what == "active-context":
        session.print(active(config)[0] or "NONE")
    elif arguments.what == "active-enterprise-context":
        session.print((config.get("v2") or {}).get("active_enterprise_context") or "NONE")
    elif arguments.what == "metrics":
        session.print(str(bool((config.get("v2") or {}).get("metrics"))).lower())
    else:
        session.print(as_json(_context(config, arguments.name or active(config)[0])))


def config_set_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", type=_singular, choices=_SETTINGS)
    parser.add_argument("value", metavar="name-or-value")
    parser.add_argument("--overwrite", action="store_true", help="replace a context that is there already")


def config_set(session: Session, arguments: Namespace) -> None:
    path = config_path(session.environ)
    config = read_config(path)
    if arguments.what == "active-context":
        config = set_active(config, arguments.value)
    elif arguments.what == "active-enterprise-context":
        _context(config, arguments.value)
        config["v2"]["active_enterprise_context"] = arguments.value
    elif arguments.what == "metrics":
        if arguments.value not in ("true", "false"):
            raise Usage("invalid argument; use either `true` or `false`")
        config["v2"] = {**(config.get("v2") or {}), "metrics": arguments.value == "true"}
    else:
        if arguments.value in contexts(config) and not arguments.overwrite:
            raise Usage(
                f"context '{arguments.value}' already exists",
                hint="use `--overwrite` if you wish to replace it",
            )
        before = active(config)[0]
        contexts(config).pop(arguments.value, None)
        config = set_context(config, arguments.value, **_fields(session))
        config["v2"]["active_context"] = before or arguments.value
        address = contexts(config)[arguments.value].get("pachd_address")
        if address:
            contexts(config)[arguments.value]["pachd_address"] = Address(address).url
    write_config(path, config)


def config_update_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", type=_singular, choices=("context",))
    parser.add_argument("name", nargs="?", default="")
    for flag, (_, help) in _FIELDS.items():
        parser.add_argument(f"--{flag}", default=None, metavar="TEXT", help=help)
    parser.add_argument(
        "--remove-cluster-deployment-id", action="store_true", help="forget which server it was"
    )


def config_update(session: Session, arguments: Namespace) -> None:
    path = config_path(session.environ)
    config = read_config(path)
    before = active(config)[0]
    name = arguments.name or before
    context = _context(config, name)
    if not arguments.name:
        session.print(f'editing the currently active context "{name}"')
    if arguments.remove_cluster_deployment_id:
        context.pop("cluster_deployment_id", None)
    given = {field: getattr(arguments, flag.replace("-", "_")) for flag, (field, _) in _FIELDS.items()}
    fields = {field: text for field, text in given.items() if text is not None}
    if fields.get("pachd_address"):
        fields["pachd_address"] = Address(fields["pachd_address"]).url
    config = set_context(config, name, **fields)
    config["v2"]["active_context"] = before
    write_config(path, config)


def config_delete_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", type=_singular, choices=("context",))
    parser.add_argument("name")


def config_delete(session: Session, arguments: Namespace) -> None:
    path = config_path(session.environ)
    config = read_config(path)
    _context(config, arguments.name)
    if active(config)[0] == arguments.name:
        raise Usage(
            "cannot delete an active context",
            hint=f"choose another with `{session.program} config set active-context NAME`",
        )
    del contexts(config)[arguments.name]
    write_config(path, config)


def config_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("what", type=_singular, choices=("context",))


def config_list(session: Session, arguments: Namespace) -> None:
    config = read_config(config_path(session.environ))
    current = active(config)[0]
    enterprise = (config.get("v2") or {}).get("active_enterprise_context")
    session.print("ACTIVE\tNAME")  # with tabs that stay tabs, as in pachctl: `cut -f2` is used on it
    for name in sorted(contexts(config)):
        mark = ("E" if name == enterprise else "") + ("*" if name == current else "")
        session.print(f"{mark}\t{name}")


def _singular(text: str) -> str:
    return "context" if text == "contexts" else text


def _context(config: dict[str, Any], name: str) -> dict[str, Any]:
    if not name:
        raise NotFound("no context is active", hint="make one with `pachctl connect HOST:PORT`")
    if name not in contexts(config):
        raise NotFound(f"context does not exist: {name}", hint="see `pachctl config list context`")
    return contexts(config)[name]


def _fields(session: Session) -> dict[str, Any]:
    try:
        fields = json.loads(session.read_text("-"))
    except (ValueError, RecursionError) as error:
        raise Usage(f"the context on the input is not JSON: {error}") from None
    if not isinstance(fields, dict) or not is_context(fields):
        raise Usage("the context on the input is not a JSON object with the fields of a context")
    return fields
