"""Compare a tree with the schema: is every key a field, does every field hold what it should?

The result is the spec in one spelling: the schema's own field names, whole numbers as numbers, enum values by
name. null stays, since a merge of defaults reads it as "take the default away".

Read next: fields.py (what is allowed), old_words.py (what once was), parse.py (who calls).
"""

from __future__ import annotations

import difflib
import json
import math
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from pachlet.spec.fields import Field, Kind, fields
from pachlet.spec.old_words import advice
from pachlet.spec.positions import Entry, List, Node, Object, Position, SpecError, Value, below, found, quoted

_DURATION = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_OTHER_DURATION = re.compile(r"([0-9]{1,6}) ?(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_INTEGER = re.compile(r"-?[0-9]{1,20}")


@dataclass
class Checker:
    """Checks the values of one file and remembers where each field stands."""

    filename: str
    places: dict[str, Position] = field(default_factory=dict)

    def check_object(self, node: Node, message: str, path: str) -> dict[str, Any]:
        """Return the object with its fields in one spelling; raise SpecError at the first that is wrong."""
        self.places[path] = node.at
        if not isinstance(node, Object):
            hint = "take it out of the list" if isinstance(node, List) else ""
            self._fail(node, path, "an object", hint)
        result: dict[str, Any] = {}
        oneofs: dict[str, str] = {}
        for entry in node.entries:
            known = fields(message).get(entry.key)
            if known is None:
                self._fail_unknown(entry, message, path)
            place = below(path, known.name)
            if known.name in result:
                problem = f"found {quoted(entry.key)}, wanted each field once, in one spelling"
                raise SpecError(self.filename, entry.at, place, problem, hint="keep one of the two spellings")
            if known.oneof and not _is_null(entry.value):
                if other := oneofs.get(known.oneof):
                    problem = f"found both {other} and {known.name}, wanted one of them"
                    raise SpecError(self.filename, entry.at, place, problem)
                oneofs[known.oneof] = known.name
            result[known.name] = self._check_field(entry.value, known, place)
            self.places[place] = entry.at
        return result

    def _check_field(self, node: Node, known: Field, path: str) -> Any:
        if _is_null(node):
            return None
        if known.is_map:
            return self._check_map(node, known, path)
        if not known.repeated:
            return self._check_value(node, known, path)
        if not isinstance(node, List):
            self._fail(node, path, f"a list of {_PLURALS[known.kind]}", _as_list(node, known))
        return [self._check_value(item, known, f"{path}[{n}]") for n, item in enumerate(node.items)]

    def _check_map(self, node: Node, known: Field, path: str) -> dict[str, Any]:
        if not isinstance(node, Object):
            self._fail(node, path, f"an object of {_PLURALS[known.kind]}")
        return {
            entry.key: self._check_value(entry.value, known, below(path, entry.key)) for entry in node.entries
        }

    def _check_value(self, node: Node, known: Field, path: str) -> Any:
        if known.kind == "object":
            return self.check_object(node, known.message, path)
        self.places[path] = node.at
        check: Callable[[Any, Field], Any] = _CHECKS[known.kind]
        try:
            return check(node.value if isinstance(node, Value) else None, known)
        except _Wrong as wrong:
            self._fail(node, path, wrong.wanted, wrong.hint)

    def _fail(self, node: Node, path: str, wanted: str, hint: str = "") -> NoReturn:
        raise SpecError(self.filename, node.at, path, f"found {found(node)}, wanted {wanted}", hint=hint)

    def _fail_unknown(self, entry: Entry, message: str, path: str) -> NoReturn:
        names = sorted({known.name for known in fields(message).values()})
        key = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", entry.key).replace("-", "_").lower()
        hint = advice(message, key)
        if not hint and (near := difflib.get_close_matches(key, names, n=1)):
            hint = f"did you mean {quoted(near[0])}?"
        some = ", ".join(names) if len(names) <= 8 else f"a field of a {_SHOWN.get(message, 'spec')}"
        problem = f"found the unknown field {quoted(entry.key)}, wanted {some}"
        raise SpecError(
            self.filename, entry.at, path, problem, hint=hint or f"the fields are: {', '.join(names)}"
        )


class _Wrong(Exception):
    """A value is not of its field's kind; the caller knows the place."""

    def __init__(self, wanted: str, hint: str = "") -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.hint = hint


_SHOWN = {"pps_v2.Transform": "transform", "pps_v2.PFSInput": "pfs input"}
_PLURALS: dict[Kind, str] = {
    "string": "strings",
    "bool": "truth values",
    "integer": "whole numbers",
    "number": "numbers",
    "enum": "words",
    "object": "objects",
    "duration": "durations",
    "time": "times",
}


def _is_null(node: Node) -> bool:
    return isinstance(node, Value) and node.value is None


def _as_list(node: Node, known: Field) -> str:
    """Show the line as it should be: a lone value in brackets, a command cut into words."""
    if not isinstance(node, Value) or not isinstance(node.value, str):
        return "put it in a list: [...]"
    words = [node.value]
    if known.name in ("cmd", "err_cmd"):
        try:
            words = shlex.split(node.value)
        except ValueError:  # an open quote: leave the cutting to the user
            words = [node.value]
    elif "\n" in node.value:
        words = node.value.rstrip("\n").split("\n")
    fixed = json.dumps(words, ensure_ascii=False)
    return f'write "{known.name}": {fixed}' if len(fixed) <= 200 else "put it in a list, one string a line"


def _string(value: Any, known: Field) -> str:
    if not isinstance(value, str):
        shown = json.dumps(value) if isinstance(value, bool | int | float) else ""
        raise _Wrong("a string", f'put it in quotes: "{shown}"' if 0 < len(shown) <= 40 else "")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise _Wrong("a string of whole characters")
    return value


def _bool(value: Any, known: Field) -> bool:
    if not isinstance(value, bool):
        word = value.lower() if isinstance(value, str) else value
        meant = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
        hint = f"write {meant[word]}, without quotes" if word in meant.keys() else ""  # noqa: SIM118
        raise _Wrong("true or false", hint)
    return value


def _integer(value: Any, known: Field) -> int:
    number: Any = value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)  # protobuf's JSON writes 64-bit numbers as strings
    elif isinstance(value, float) and math.isfinite(value) and value == int(value):
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise _Wrong("a whole number")
    if not known.lowest <= number <= known.highest:
        limits = f"from {known.lowest} to {known.highest}"
        raise _Wrong(f"a whole number {limits if known.lowest or number > 0 else 'that is not negative'}")
    return number


def _number(value: Any, known: Field) -> float:
    number: Any = value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 3e38:
        hint = "write cores as a number: half a core is 0.5" if known.name == "cpu" else ""
        raise _Wrong("a number", hint)
    return float(number)


def _enum(value: Any, known: Field) -> str:
    if isinstance(value, str) and value in known.values:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(known.values):
        return known.values[value]
    near = difflib.get_close_matches(value.upper(), known.values, n=1) if isinstance(value, str) else []
    raise _Wrong(f"one of {', '.join(known.values)}", f"did you mean {quoted(near[0])}?" if near else "")


def _duration(value: Any, known: Field) -> str:
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return value
    hint = ""
    if isinstance(value, str | int) and (meant := _OTHER_DURATION.fullmatch(str(value))):
        hint = f'write "{int(meant[1]) * _SECONDS[(meant[2] or "s")[0]]}s"'
    raise _Wrong('a duration in seconds, such as "90s"', hint)


def _time(value: Any, known: Field) -> str:
    if isinstance(value, str) and (parts := _TIME.fullmatch(value)):
        try:
            datetime.fromisoformat(parts[1] + parts[3])
        except ValueError as error:
            raise _Wrong("a time that exists", str(error)) from None
        return value
    raise _Wrong('a time such as "2026-01-31T08:00:00Z"')


_CHECKS: dict[Kind, Callable[[Any, Field], Any]] = {
    "string": _string,
    "bool": _bool,
    "integer": _integer,
    "number": _number,
    "enum": _enum,
    "duration": _duration,
    "time": _time,
}
