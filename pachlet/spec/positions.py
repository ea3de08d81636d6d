"""Where things stand in a spec, the tree that the two readers make, and the error that names a place.

Python's own readers throw the positions away, and an error without one sends the user searching.

Read next: json_reader.py, yaml_reader.py (who make the tree), check.py (who walks it).
"""

from __future__ import annotations

import bisect
import json
import re
from dataclasses import dataclass, field

from pachlet.errors import InvalidArgument

MAX_DEPTH = 60  # of objects within objects: no spec needs more, and Python's stack bears it
MAX_DIGITS = 300  # of a number: enough for any, and Python refuses to read thousands

Scalar = str | int | float | bool | None


@dataclass(frozen=True, order=True)
class Position:
    """A line and a column, counted from 1 as editors do."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


START = Position(1, 1)


class SpecError(InvalidArgument):
    """A spec is not what it should be, at one place."""

    def __init__(self, filename: str, at: Position, path: str, problem: str, *, hint: str = "") -> None:
        named = f"{short_path(path)}: " if path else ""
        # What a reader quotes from a spec may hold anything, and an error is one line that can be shown.
        problem = printable(problem)
        super().__init__(f"{filename}:{at}: {named}{problem}", hint=printable(hint))
        self.filename = filename
        self.at = at
        self.path = path
        self.problem = problem


def short_path(path: str) -> str:
    """Leave out the middle of a path that nobody would read."""
    return path if len(path) <= 120 else f"{path[:50]}...{path[-50:]}"


def printable(text: str) -> str:
    """Return a text in which what can't be shown is written as an escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


Span = tuple[int, int]
"""From which to which offset of the text something stands."""


@dataclass(frozen=True)
class Node:
    """A value with the position at which it begins."""

    at: Position
    span: Span = field(default=(0, 0), kw_only=True)


@dataclass(frozen=True)
class Value(Node):
    """A string, number, truth value or null."""

    value: Scalar


@dataclass(frozen=True)
class List(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """A key of an object with its value."""

    key: str
    at: Position
    value: Node
    span: Span = (0, 0)  # of the key


@dataclass(frozen=True)
class Object(Node):
    """An object; no key comes twice."""

    entries: list[Entry] = field(default_factory=list)


class Lines:
    """Finds the position of an offset in a text."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]

    def position(self, offset: int) -> Position:
        line = bisect.bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1)


_PLAIN_KEY = re.compile(r"[a-zA-Z0-9_.-]+")


def below(path: str, key: str) -> str:
    """Return the path of a key's value: `transform.env`, `transform.env["a key"]`."""
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{quoted(key)}]"
    return f"{path}.{key}" if path else key


def found(node: Node) -> str:
    """Say what a value is, as an error does after "found"."""
    if isinstance(node, List):
        return "a list" if node.items else "an empty list"
    if isinstance(node, Object):
        return "an object" if node.entries else "an empty object"
    assert isinstance(node, Value)
    value = node.value
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return f"the number {shortened(str(value))}"


def quoted(text: str) -> str:
    """Return a string as JSON writes it, cut where it gets long."""
    return json.dumps(shortened(text), ensure_ascii=not text.isprintable())


def shortened(text: str) -> str:
    """Cut a text where it gets long."""
    return text if len(text) <= 40 else text[:37] + "..."
