"""Find the server and the project to talk to, in the file that Pachyderm's own clients keep.

`~/.pachyderm/config.json` (or the file that PACH_CONFIG names) holds contexts: an address, a project, a
token. Sharing it means that pachlet, pachctl and both Python clients always agree on where they are. Inside a
worker the file lies at /pachctl/config.json. PACHD_ADDRESS goes before the address of the active context, as
upstream; the context's token and transaction are not sent to an address that is not the context's.

Read next: connection.py.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pachlet.client.connection import Address, Connection
from pachlet.errors import PachletError, Refused, Usage
from pachlet.paths import DEFAULT_PROJECT

DEFAULT_ADDRESS = "127.0.0.1:30650"
WORKER_CONFIG = Path("/pachctl/config.json")

Config = dict[str, Any]

_TEXTS = ("pachd_address", "project", "session_token", "active_transaction", "server_cas")
"""The fields of a context that are read here."""


class Context(NamedTuple):
    """Where to connect, and as whom."""

    address: str = DEFAULT_ADDRESS
    project: str = DEFAULT_PROJECT
    token: str = ""
    transaction: str = ""
    certificates: bytes | None = None

    def connect(self, *, project: str = "", timeout: float | None = None) -> Connection:
        """Make a connection; nothing is sent yet."""
        return Connection(
            self.address,
            project=project or self.project,
            token=self.token,
            transaction=self.transaction,
            certificates=self.certificates,
            timeout=timeout,
        )


def config_path(environ: Mapping[str, str]) -> Path:
    """Return the file that holds the contexts; it may not exist."""
    if named := environ.get("PACH_CONFIG"):
        return Path(named)
    if WORKER_CONFIG.exists():
        return WORKER_CONFIG
    return Path(environ.get("HOME") or Path.home()) / ".pachyderm" / "config.json"


def read_config(path: Path) -> Config:
    """Return what the file says; a file that is not there says nothing."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PachletError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PachletError(
            f"{path} is not text in UTF-8", hint="mend it, or move it out of the way"
        ) from None
    try:
        config = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise PachletError(
            f"{path} is not JSON: {error}", hint="mend it, or move it out of the way"
        ) from None
    if not _is_config(config):
        raise PachletError(
            f"{path} does not hold the contexts of Pachyderm's clients",
            hint="mend it, or move it out of the way",
        )
    return dict(config)


def write_config(path: Path, config: Config) -> None:
    """Replace the file in one step, readable by its owner only (it may hold tokens)."""
    import tempfile

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".config")
        with os.fdopen(handle, "w") as out:
            out.write(json.dumps(config, indent=2) + "\n")
        Path(name).replace(path)
    except OSError as error:
        raise PachletError(f"cannot write {path}: {error.strerror}") from None


def active(config: Config) -> tuple[str, dict[str, Any]]:
    """Return the name and the fields of the active context; both are empty if there is none."""
    name = _v2(config).get("active_context") or ""
    return name, contexts(config).get(name) or {}


def contexts(config: Config) -> dict[str, dict[str, Any]]:
    """Return all contexts by name."""
    return _v2(config).get("contexts") or {}


def resolve(environ: Mapping[str, str]) -> Context:
    """Say where to connect: PACHD_ADDRESS, then the active context, then this machine."""
    _, fields = active(read_config(config_path(environ)))
    project = fields.get("project") or DEFAULT_PROJECT
    address = environ.get("PACHD_ADDRESS") or ""
    if address and Address(address).url != Address(_address(fields)).url:
        return Context(address=address, project=project)
    return Context(
        address=address or _address(fields),
        project=project,
        token=fields.get("session_token") or "",
        transaction=fields.get("active_transaction") or "",
        certificates=_certificates(fields.get("server_cas") or ""),
    )


def set_context(config: Config, name: str, **fields: Any) -> Config:
    """Return the config with the named context created or changed, and active."""
    import uuid

    changed = json.loads(json.dumps(config))
    changed.setdefault("user_id", uuid.uuid4().hex)
    section = changed["v2"] = changed.get("v2") or {}
    section.setdefault("metrics", False)  # never report usage to anyone
    named = section["contexts"] = section.get("contexts") or {}
    named.setdefault(name, {}).update(fields)
    section["active_context"] = name
    return dict(changed)


def active_transaction(environ: Mapping[str, str]) -> str:
    """Return the id of the transaction that requests are added to; empty if there is none."""
    return resolve(environ).transaction


def set_transaction(environ: Mapping[str, str], identifier: str) -> None:
    """Note the transaction that requests are added to, in the context of the server that holds it.

    With PACHD_ADDRESS and no context at all, one is made for that address.
    """
    path = config_path(environ)
    config = read_config(path)
    name, fields = active(config)
    address = Address(resolve(environ).address)
    if not name:
        name, fields = str(address), {"pachd_address": address.url}
    elif Address(_address(fields)).url != address.url:
        raise Refused(
            f"a transaction is kept in the active context, which is {name}, not the server at {address}",
            hint=f"choose that server with `pachctl connect {address}`, or unset PACHD_ADDRESS",
        )
    write_config(path, set_context(config, name, **{**fields, "active_transaction": identifier}))


def context_of(environ: Mapping[str, str], address: str) -> Context:
    """Return how to connect to an address: with the token and the certificates of a context that has it."""
    url = Address(address).url
    for fields in contexts(read_config(config_path(environ))).values():
        if Address(_address(fields)).url == url:
            token, certificates = fields.get("session_token") or "", fields.get("server_cas") or ""
            return Context(address, token=token, certificates=_certificates(certificates))
    return Context(address)


def named_context(environ: Mapping[str, str], name: str) -> Context:
    """Return the context of a name.

    Raises:
        Usage: there is none.
    """
    known = contexts(read_config(config_path(environ)))
    if name not in known:
        raise Usage(f"context does not exist: {name}", hint=f"contexts: {', '.join(sorted(known)) or 'none'}")
    fields = known[name]
    return Context(
        address=_address(fields),
        project=fields.get("project") or DEFAULT_PROJECT,
        token=fields.get("session_token") or "",
        certificates=_certificates(fields.get("server_cas") or ""),
    )


def set_active(config: Config, name: str) -> Config:
    """Return the config with another context active."""
    if name not in contexts(config):
        known = ", ".join(sorted(contexts(config))) or "none"
        raise Usage(f"context does not exist: {name}", hint=f"contexts: {known}")
    return set_context(config, name)


def _is_config(config: Any) -> bool:
    """Tell whether what was read has the shape that is relied upon here; a null stands for nothing."""
    if not isinstance(config, dict) or not isinstance(config.get("v2") or {}, dict):
        return False
    section = _v2(config)
    named = section.get("contexts") or {}
    names = (section.get("active_context"), section.get("active_enterprise_context"))
    if not isinstance(named, dict) or not all(isinstance(name or "", str) for name in names):
        return False
    return all(isinstance(fields, dict) and is_context(fields) for fields in named.values())


def is_context(fields: Mapping[str, Any]) -> bool:
    """Tell whether the fields of a context are of the kinds that are relied upon here."""
    texts = [fields.get(name) or "" for name in _TEXTS]
    # Some go into headers, where only plain characters may be.
    plain = all(isinstance(text, str) and text.isascii() and text.isprintable() for text in texts)
    return plain and isinstance(fields.get("port_forwarders") or {}, dict)


def _address(fields: Mapping[str, Any]) -> str:
    """Return the address of a context, as upstream finds it."""
    forwarded = (fields.get("port_forwarders") or {}).get("pachd")
    return fields.get("pachd_address") or (f"127.0.0.1:{forwarded}" if forwarded else DEFAULT_ADDRESS)


def _v2(config: Config) -> dict[str, Any]:
    return config.get("v2") or {}


def _certificates(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if text else None
    except binascii.Error:
        raise PachletError("the active context's server_cas is not base64") from None
