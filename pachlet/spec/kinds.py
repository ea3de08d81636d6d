"""Look at one value: is it of its field's kind, and if not, what was meant?

Durations, truth values and cores are often written as other tools have them; each of these gets the spelling
that is wanted here.

Read next: check.py (who asks), fields.py (which kinds there are).
"""

from __future__ import annotations

import difflib
import json
import math
import re
import shlex
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pachlet.spec.fields import Field, Kind
from pachlet.spec.positions import quoted

NOTHING: Any = object()
"""Nobody knows what was meant."""

_DURATION = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_OTHER_DURATION = re.compile(r"([0-9]{1,6}) ?(s|sec|seconds?|m|min|minutes?|h|hours?|d|days?)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_CORES = re.compile(r"([0-9]{1,6})(m?)|([0-9]{1,3}\.[0-9]{1,3})")
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

PLURALS: dict[Kind, str] = {
    "string": "strings",
    "bool": "truth values",
    "integer": "whole numbers",
    "number": "numbers",
    "enum": "words",
    "object": "objects",
    "duration": "durations",
    "time": "times",
}


class Wrong(Exception):
    """A value is not of its field's kind; the caller knows the place."""

    def __init__(self, wanted: str, hint: str = "", meant: Any = NOTHING) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.hint = hint
        self.meant = meant


def check_value(value: Any, known: Field) -> Any:
    """Return a value as the schema has it; raise Wrong if it is not of the field's kind."""
    return _CHECKS[known.kind](value, known)


def items_of(text: str, known: Field) -> list[str]:
    """Return the list that was meant by one string: a command's words, a script's lines."""
    if known.name in ("cmd", "err_cmd"):
        try:
            return shlex.split(text)
        except ValueError:  # an open quote: leave the cutting to the user
            return [text]
    return text.rstrip("\n").split("\n") if "\n" in text else [text]


def _string(value: Any, known: Field) -> str:
    if not isinstance(value, str):
        shown = json.dumps(value) if isinstance(value, bool | int | float) else ""
        if not 0 < len(shown) <= 40 or shown.strip("-") in ("NaN", "Infinity"):
            raise Wrong("a string")
        raise Wrong("a string", f'put it in quotes: "{shown}"', shown)
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise Wrong("a string of whole characters")
    return value


def _bool(value: Any, known: Field) -> bool:
    if isinstance(value, bool):
        return value
    meant = _TRUTHS.get(value.lower()) if isinstance(value, str) else None
    if meant is None:
        raise Wrong("true or false")
    raise Wrong("true or false", f"write {json.dumps(meant)}, without quotes", meant)


def _integer(value: Any, known: Field) -> int:
    number: Any = value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        number = int(value)  # protobuf's JSON writes 64-bit numbers as strings
    elif isinstance(value, float) and math.isfinite(value) and value == int(value):
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise Wrong("a whole number")
    if not known.lowest <= number <= known.highest:
        limits = f"from {known.lowest} to {known.highest}"
        raise Wrong(f"a whole number {limits if known.lowest or number > 0 else 'that is not negative'}")
    return number


def _number(value: Any, known: Field) -> float:
    number: Any = value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 3e38:
        if known.name != "cpu":
            raise Wrong("a number")
        cores = _CORES.fullmatch(value) if isinstance(value, str) else None
        hint = "write cores as a number: half a core is 0.5"
        if not cores:
            raise Wrong("a number", hint)
        meant = float(cores[3] or cores[1]) / (1000 if cores[2] else 1)
        raise Wrong("a number", hint, int(meant) if meant == int(meant) else meant)
    return float(number)


def _enum(value: Any, known: Field) -> str:
    if isinstance(value, str) and value in known.values:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(known.values):
        return known.values[value]
    near = difflib.get_close_matches(value.upper(), known.values, n=1) if isinstance(value, str) else []
    wanted = f"one of {', '.join(known.values)}"
    if near:
        raise Wrong(wanted, f"did you mean {quoted(near[0])}?", near[0])
    raise Wrong(wanted)


def _duration(value: Any, known: Field) -> str:
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return value
    wanted = 'a duration in seconds, such as "90s"'
    meant = _OTHER_DURATION.fullmatch(str(value)) if isinstance(value, str | int) else None
    if meant is None:
        raise Wrong(wanted)
    seconds = f"{int(meant[1]) * _SECONDS[(meant[2] or 's')[0]]}s"
    raise Wrong(wanted, f'write "{seconds}"', seconds)


def _time(value: Any, known: Field) -> str:
    if isinstance(value, str) and (parts := _TIME.fullmatch(value)):
        try:
            datetime.fromisoformat(parts[1] + parts[3])
        except ValueError as error:
            raise Wrong("a time that exists", str(error)) from None
        return value
    raise Wrong('a time such as "2026-01-31T08:00:00Z"')


_CHECKS: dict[Kind, Callable[[Any, Field], Any]] = {
    "string": _string,
    "bool": _bool,
    "integer": _integer,
    "number": _number,
    "enum": _enum,
    "duration": _duration,
    "time": _time,
}
