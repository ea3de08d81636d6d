"""Keep users' secrets, and give a pipeline's code what its spec names of them.

A secret is what it is in Kubernetes: a name and values by key, in no project. The values are in the database, whose
file only the server's user can read, and go from there to the processes that the spec says, nowhere else: no log,
listing, error text or datum's record holds more than names. What prints a value by accident prints its kind instead.

Read next: api/secret_service.py (the RPCs), pipelines.py (a spec's secrets must be there).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pachlet.errors import InvalidArgument, Refused
from pachlet.metadb.connect import Row
from pachlet.metadb.connect import Transaction as Statements

LARGEST = 1 << 20
"""Bytes of all values of one secret; Kubernetes' own limit."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_SUITE = "pachyderm"


@dataclass(frozen=True)
class SecretRecord:
    """What may be shown of a secret."""

    name: str
    type: str
    created: int

    @classmethod
    def of(cls, row: Row) -> SecretRecord:
        """Make a record of a row of `secrets`."""
        return cls(row["name"], row["type"], row["created"])


@dataclass(frozen=True)
class NewSecret:
    """A secret as its user gave it; its values are left out of what is printed of it."""

    name: str
    type: str
    labels: dict[str, str]
    values: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class TransformSecrets:
    """What a pipeline's code is given: variables by name, and files by their absolute path."""

    environ: dict[str, str] = field(repr=False)
    files: dict[str, bytes] = field(repr=False)


def read_secret(text: bytes) -> NewSecret:
    """Read a Kubernetes Secret, JSON with base64 in `data` or text in `stringData`; no error repeats any of it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument(
            "failed to unmarshal secret: it is no JSON",
            hint='a Kubernetes Secret: {"metadata": {"name": "S"}, "stringData": {"KEY": "VALUE"}}',
        ) from None
    if not isinstance(found, dict):
        raise InvalidArgument("failed to unmarshal secret: it must be an object")
    about = _object(found, "metadata")
    name, labels = about.get("name") or "", _object(about, "labels")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 253:
        raise InvalidArgument(
            "failed to create secret: metadata.name must be lower case letters, digits, '-' and '.'",
            hint="such as my-secret",
        )
    if labels.get("suite") not in (None, "", _SUITE):
        raise Refused(f"invalid suite label set on secret: suite={labels['suite']}")
    labels = {**_texts(labels, "metadata.labels"), "suite": _SUITE, "secret-source": "pachyderm-user"}
    values = {key: _decode(key, value) for key, value in _texts(_object(found, "data"), "data").items()}
    values |= {
        key: value.encode("utf-8", "surrogatepass")
        for key, value in _texts(_object(found, "stringData"), "stringData").items()
    }
    for key in values:
        if not _KEY.fullmatch(key) or key in (".", "..") or len(key) > 253:
            raise InvalidArgument(
                f"failed to create secret: {key!r} is no key of a secret",
                hint="keys are letters, digits, '-', '_' and '.'",
            )
    if sum(map(len, values.values())) > LARGEST:
        raise InvalidArgument("failed to create secret: its values are more than 1 MiB")
    kind = found.get("type") or "Opaque"
    if not isinstance(kind, str):
        raise InvalidArgument("failed to unmarshal secret: type must be a string")
    return NewSecret(name, kind, labels, values)


def create_secret(db: Statements, secret: NewSecret, now: int) -> None:
    """Keep a secret; raise Refused if there is one of its name."""
    if db.first("get_secret", name=secret.name) is not None:
        raise Refused(
            f'failed to create secret: secrets "{secret.name}" already exists',
            hint=f"pachctl delete secret {secret.name}",
        )
    db.run("add_secret", name=secret.name, type=secret.type, labels=json.dumps(secret.labels), created=now)
    db.many("add_secret_values", [(secret.name, key, value) for key, value in secret.values.items()])


def inspect_secret(db: Statements, name: str) -> SecretRecord:
    """Return what may be shown of a secret; raise Refused."""
    row = db.first("get_secret", name=name)
    if row is None:
        raise Refused(f'failed to get secret: secrets "{name}" not found', hint="pachctl list secret")
    return SecretRecord.of(row)


def list_secrets(db: Statements) -> list[SecretRecord]:
    """Return what may be shown of every secret, by name."""
    return [SecretRecord.of(row) for row in db.all("list_secrets")]


def delete_secret(db: Statements, name: str) -> None:
    """Delete a secret, and overwrite where it was; raise Refused if there is none."""
    if db.first("get_secret", name=name) is None:
        raise Refused(f'failed to delete secret: secrets "{name}" not found', hint="pachctl list secret")
    with db.overwriting():
        db.run("delete_secret_values", name=name)
    db.run("delete_secret", name=name)


def delete_secrets(db: Statements) -> None:
    """Delete all of them."""
    for each in list_secrets(db):
        delete_secret(db, each.name)


def secrets_named(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and key of each secret that an effective spec needs; the key is '' where all are meant."""
    found = list((spec.get("transform") or {}).get("secrets") or [])
    password = ((spec.get("egress") or {}).get("sql_database") or {}).get("secret") or {}
    return [(each.get("name", ""), each.get("key", "")) for each in [*found, password]]


def check_secrets(db: Statements, spec: Mapping[str, Any]) -> None:
    """Raise Refused for the first secret of an effective spec that is missing, or lacks its key."""
    for each in (spec.get("transform") or {}).get("secrets") or []:
        name, key = each.get("name", ""), each.get("key", "")
        if db.first("get_secret", name=name) is None:
            raise _missing(name)
        if key:
            secret_value(db, name, key)
    password = ((spec.get("egress") or {}).get("sql_database") or {}).get("secret") or {}
    if password.get("name"):
        secret_value(db, password["name"], password.get("key", ""))


def secret_value(db: Statements, name: str, key: str) -> bytes:
    """Return one value of a secret (an egress' password, say); raise Refused where it is missing."""
    value = db.value("get_secret_value", name=name, key=key)
    if value is not None:
        return bytes(value)
    if db.first("get_secret", name=name) is None:
        raise _missing(name)
    raise Refused(f"Kubernetes secret {name} missing key {key}", hint=f"give secret {name} that key")


def transform_secrets(db: Statements, spec: Mapping[str, Any]) -> TransformSecrets:
    """Return what the code of an effective spec's transform is given; raise Refused where something is missing.

    As in Kubernetes, `mount_path` is a folder with a file for each key of the secret, and `env_var` a variable with the
    value of the one key that is named. Ask anew for each worker that starts: a secret may be made again meanwhile.
    """
    environ: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for each in (spec.get("transform") or {}).get("secrets") or []:
        name = each.get("name", "")
        if db.first("get_secret", name=name) is None:
            raise _missing(name)
        if each.get("env_var"):
            value = secret_value(db, name, each.get("key", ""))
            if b"\0" in value:
                raise Refused(f"secret {name} can't be variable {each['env_var']}: it has a zero byte")
            environ[each["env_var"]] = value.decode("utf-8", "surrogateescape")
        if each.get("mount_path"):
            folder = PurePosixPath("/", each["mount_path"])
            files |= {str(folder / row["key"]): row["value"] for row in db.all("secret_values", name=name)}
    return TransformSecrets(environ, files)


def _missing(name: str) -> Refused:
    return Refused(f"missing Kubernetes secret {name}", hint="pachctl create secret -f FILE, or list secret")


def _object(holder: Mapping[str, Any], field: str) -> dict[str, Any]:
    found = holder.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidArgument(f"failed to unmarshal secret: {field} must be an object")
    return found


def _texts(found: Mapping[str, Any], field: str) -> dict[str, str]:
    if not all(isinstance(value, str) for value in found.values()):
        raise InvalidArgument(f"failed to unmarshal secret: the values of {field} must be strings")
    return dict(found)


def _decode(key: str, value: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(
            f"failed to unmarshal secret: data[{key!r}] is no base64",
            hint="put plain text under stringData",
        ) from None
