"""Print results: tables, times, sizes and states the way pachctl shows them, or the server's answer as it is.

Scripts read this output, so columns, their order and their words are pachctl's. Times and sizes follow the
rules of the library that upstream uses (`About a minute ago`, four significant digits and binary units).

Read next: verbs/repo.py.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pachlet.client.connection import Message

if TYPE_CHECKING:
    from pachlet.cli.session import Session

_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_COLOURS = {"green": 32, "yellow": 33, "red": 31}
_BATCH = 1000  # rows after which a long table starts to appear

Row = Sequence[str]


class Table:
    """Rows in aligned columns under an upper-case header, shown in batches so that a long one starts
    early."""

    def __init__(self, session: Session, *header: str) -> None:
        self._session = session
        self._widths = [0] * len(header)
        self._rows: list[Row] = []
        self.add(*header)

    def add(self, *cells: str) -> None:
        """Append a row."""
        self._rows.append([cell.replace("\n", " ") for cell in cells])
        if len(self._rows) >= _BATCH:
            self.show()

    def show(self) -> None:
        """Print the rows that are not shown yet."""
        for row in self._rows:
            self._widths = [max(have, _width(cell)) for have, cell in zip(self._widths, row, strict=True)]
        for row in self._rows:
            padded = [
                cell + " " * (wide - _width(cell)) for cell, wide in zip(row, self._widths, strict=True)
            ]
            self._session.print(" ".join(padded).rstrip())
        self._rows = []


def show_list(
    session: Session,
    arguments: Namespace,
    messages: Iterable[Message],
    header: Row,
    row: Callable[[Message], Row],
) -> None:
    """Print messages as a table, or raw if that was asked for."""
    if wants_raw(arguments):
        show_raw(session, arguments, messages)
        return
    table = Table(session, *header)
    for message in messages:
        table.add(*row(message))
    table.show()


def show_one(
    session: Session, arguments: Namespace, message: Message, lines: Callable[[Message], Iterable[str]]
) -> None:
    """Print one message as lines, or raw if that was asked for."""
    if wants_raw(arguments):
        show_raw(session, arguments, [message])
        return
    for line in lines(message):
        session.print(line)


def wants_raw(arguments: Namespace) -> bool:
    """Tell whether the server's answer is wanted as it is; naming a form of it is enough."""
    return bool(arguments.raw or arguments.output)


def show_raw(session: Session, arguments: Namespace, messages: Iterable[Message]) -> None:
    """Print messages one after the other as JSON or YAML, with the names of the proto files."""
    for message in messages:
        show_value(session, arguments.output or "json", as_plain(message))


def show_value(session: Session, form: str, value: Any) -> None:
    """Print a plain value as JSON or YAML."""
    if form == "yaml":
        import yaml

        session.print("---\n" + yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip())
    else:
        session.print(as_json(value))


def as_plain(message: Message) -> Any:
    """Return a message as plain values, with the names of the proto files."""
    from google.protobuf import json_format

    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def as_json(value: Any) -> str:
    """Return a plain value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def when(arguments: Namespace, stamp: Message) -> str:
    """Show a Timestamp: how long ago, or in full with --full-timestamps."""
    if not stamp.seconds and not stamp.nanos:
        return "-"
    return in_full(stamp) if getattr(arguments, "full_timestamps", False) else ago(stamp)


def ago(stamp: Message) -> str:
    """Show how long ago a Timestamp was."""
    return f"{human_duration(time.time() - seconds_of(stamp))} ago"


def in_full(stamp: Message) -> str:
    """Show a Timestamp in RFC 3339."""
    return datetime.fromtimestamp(stamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(stamp: Message) -> float:
    """Return a Timestamp or Duration in seconds."""
    return float(stamp.seconds + stamp.nanos / 1e9)


def human_duration(seconds: float) -> str:
    """Say a duration in words, roughly."""
    whole = int(seconds)
    minutes, hours = int(seconds / 60), int(seconds / 3600 + 0.5)
    for limit, words in (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < 60, f"{whole} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{hours // 24} days"),
        (hours < 24 * 30 * 2, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
    ):
        if limit:
            return words
    return f"{int(seconds / 3600) // 24 // 365} years"


def size(count: float) -> str:
    """Show a number of bytes with four significant digits and binary units."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"):
        if count < 1024:
            return f"{count:.4g}{unit}"
        count /= 1024
    return f"{count:.4g}YiB"


def coloured(session: Session, colour: str, text: str) -> str:
    """Return text in a colour, where colours are wanted."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if session.colour else text


def bar(session: Session, good: int, waiting: int, bad: int, *, width: int = 8) -> str:
    """Draw shares as cells; anything bad at all shows in the last one, so that no failure looks like
    success."""
    total = good + waiting + bad
    cells = []
    for index in range(width):
        if bad and index == width - 1:
            cells.append(coloured(session, "red", "▇"))
        elif index * total < good * width:
            cells.append(coloured(session, "green", "▇"))
        elif index * total < (good + waiting) * width:
            cells.append(coloured(session, "yellow", "▇" if session.colour else "░"))
        elif index * total < total * width:
            cells.append(coloured(session, "red", "▇"))
        else:
            cells.append(" ")
    return "".join(cells)


def _width(cell: str) -> int:
    """Return how many columns a cell takes up on a terminal."""
    shown = _ESCAPE.sub("", cell)
    if shown.isascii():
        return len(shown)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in shown
    )
