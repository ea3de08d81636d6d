"""Make of a value in a file what its column takes, or say why it can't be.

Numbers go to the database as their digits, so that none loses precision on the way. What only the database can judge (a
range, an enumeration, an address) is left to it; SQLite, which takes anything, is why the common kinds are looked at
here.

Read next: tables.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, cast

Convert = Callable[[Any], Any]
"""Returns what the driver is given for a value that is not null; raises ValueError with what is wrong."""

_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def converter(alchemy: Any, kind: str, type: Any) -> Convert:
    """Return what converts values for a column of a type of SQLAlchemy's, in a database of a kind."""
    types = alchemy.types
    if isinstance(type, types.Boolean):
        return _boolean
    if isinstance(type, types.Integer):
        # A boolean of MySQL's is an integer of one digit.
        return _digit if kind == "mysql" and getattr(type, "display_width", None) == 1 else _integer
    if isinstance(type, types.Numeric | types.Float):
        return _number
    if isinstance(type, types.DateTime | types.Date | types.Time):
        return _moment(types, kind, type)
    if isinstance(type, types.JSON):
        return _json
    if isinstance(type, types.LargeBinary):
        return _bytes
    return _text


def _boolean(value: Any) -> bool:
    text = str(value)
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f"{_show(value)} is no boolean")


def _integer(value: Any) -> int | str:
    if not isinstance(value, bool) and _INTEGER.fullmatch(str(value)):
        return str(value) if len(str(value)) > 18 else int(value)
    raise ValueError(f"{_show(value)} is no integer")


def _digit(value: Any) -> int | str:
    return int(_boolean(value)) if str(value) in _TRUE + _FALSE else _integer(value)


def _number(value: Any) -> str:
    if not isinstance(value, bool) and _NUMBER.fullmatch(str(value)):
        return str(value)
    raise ValueError(f"{_show(value)} is no number")


def _moment(types: Any, kind: str, type: Any) -> Convert:
    name, read = "time", cast(Convert, datetime.fromisoformat)
    if isinstance(type, types.Date):
        name, read = "date", date.fromisoformat
    elif isinstance(type, types.Time):
        name, read = "time of day", time.fromisoformat

    def convert(value: Any) -> str:
        if isinstance(value, datetime | date | time):
            value = value.isoformat()
        if isinstance(value, str):
            if kind == "postgresql":
                return value  # it reads more ways of writing a time than anybody else
            try:
                return _plain(read(value))
            except ValueError:
                pass
        raise ValueError(f"{_show(value)} is no {name}; such as 2017-03-12T21:51:45Z")

    return convert


def _plain(found: Any) -> str:
    """Return a time as SQLite and MySQL write it: of UTC, and without saying so."""
    if isinstance(found, datetime):
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
        return str(found.isoformat(" "))
    return str(found.isoformat())


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value
    text: str = json.dumps(value, default=_as_json, ensure_ascii=False)
    return text


def _as_json(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise ValueError(f"{_show(value)} is neither bytes nor text")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return _json(value)
    if isinstance(value, bytes):
        raise ValueError(f"{_show(value)} is no text")
    return str(value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
