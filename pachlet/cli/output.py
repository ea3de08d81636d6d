"""Print results: tables, times, sizes and states the way pachctl shows them, or the server's answer as it is.

Scripts read this output, so columns, their order and their words are pachctl's. Times and sizes follow the
rules of the library that upstream uses (`About a minute ago`, four significant digits and binary units).

Read next: verbs/repo.py.
"""

from __future__ import annotations

import json
import re
import shutil
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
    early.

    On a terminal that is narrower than the table the columns in `elastic` are cut, and left out where not even their
    names have room, the last first; what scripts read is whole.
    """

    def __init__(self, session: Session, *header: str, elastic: Sequence[str] = ()) -> None:
        self._session = session
        self._elastic = [header.index(name) for name in elastic]
        self._least = [_width(name) for name in header]
        self._room = shutil.get_terminal_size().columns if elastic and session.out.isatty() else 0
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
        widths = self._fitted() if self._room else self._widths
        for row in self._rows:
            cells = [_cut(cell, wide) for cell, wide in zip(row, widths, strict=True) if wide]
            self._session.print(" ".join(cells).rstrip())
        self._rows = []

    def _fitted(self) -> list[int]:
        """Return the widths that fit the terminal, 0 for a column that is left out, as far as elastic columns give."""
        kept, least = list(self._elastic), self._least
        widths = [0 if column in kept else wide for column, wide in enumerate(self._widths)]
        spare = self._room + 1 - sum(wide + 1 for wide in widths if wide)
        while kept and sum(least[column] + 1 for column in kept) > spare:
            kept.pop()
        spare -= sum(least[column] + 1 for column in kept)
        for left, column in enumerate(
            sorted(kept, key=self._widths.__getitem__)
        ):  # those that need less first
            more = min(self._widths[column] - least[column], spare // (len(kept) - left))
            widths[column] = least[column] + more
            spare -= more
        return widths


def show_list(
    session: Session,
    arguments: Namespace,
    messages: Iterable[Message],
    header: Row,
    row: Callable[[Message], Row],
    elastic: Sequence[str] = (),
) -> None:
    """Print messages as a table, or raw if that was asked for."""
    if wants_raw(arguments):
        show_raw(session, arguments, messages)
        return
    table = Table(session, *header, elastic=elastic)
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


def counted(count: int, what: str) -> str:
    """Write how many there are: `1 chunk`, `2 chunks`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


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


def _cut(cell: str, wide: int) -> str:
    """Return a cell that takes up so many columns, its end left out where it is longer; coloured ones are not."""
    lacking = wide - _width(cell)
    if lacking >= 0:
        return cell + " " * lacking
    room, end = wide - 1, 0  # one column is that of the dots
    while (needed := _width(cell[end])) <= room:
        room -= needed
        end += 1
    return cell[:end] + "…" + " " * room


def _width(cell: str) -> int:
    """Return how many columns a cell takes up on a terminal."""
    shown = _ESCAPE.sub("", cell)
    if shown.isascii():
        return len(shown)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in shown
    )
