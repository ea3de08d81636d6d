"""Read rows of CSV, JSON and Parquet files, with bounded memory.

CSV is Pachyderm's: an empty field is null, "" is an empty string, empty lines are left out. There is a header if
columns are given, which may come in any order. JSON is one object after the other, usually one a line; a field that is
not there is null. Parquet is read by name, too.

Read next: values.py (what a value may be), tables.py.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pachlet.egress.outgoing import Outgoing, need
from pachlet.errors import Refused

FORMATS = ("CSV", "JSON", "PARQUET")
_LONGEST = 16 << 20
"""Characters of one row."""
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_SPACE = re.compile(r"\s*")
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """Values in the order of the fields that were asked for; `line` is where it begins, or its number in Parquet."""

    line: int
    values: Sequence[Any]


def bad_row(path: str, line: int, problem: str, hint: str = "") -> Refused:
    """Return the error that a row is wrong."""
    return Refused(f"{path}:{line}: {problem}", hint=hint)


def read_rows(file: Outgoing, format: str, fields: Sequence[str], *, has_header: bool) -> Iterator[Row]:
    """Yield the rows of a file, each with the values of `fields` in their order.

    Raises:
        Refused: a row, or the file, is none of the format or has not these fields.
    """
    if format == "CSV":
        return _read_csv(file, fields, has_header=has_header)
    return _read_json(file, fields) if format == "JSON" else _read_parquet(file, fields)


def _read_csv(file: Outgoing, fields: Sequence[str], *, has_header: bool) -> Iterator[Row]:
    places = range(len(fields))
    is_header = has_header
    for line, record in _records(file):
        if len(record) != len(fields):
            problem = f"found {len(record)} fields, wanted {len(fields)}: {', '.join(fields)}"
            raise bad_row(file.path, line, problem)
        if is_header:
            places, is_header = _places(file.path, line, record, fields), False
            continue
        values = list(record)
        for at, value in zip(places, record, strict=True):
            values[at] = value
        yield Row(line, values)


def _places(path: str, line: int, header: Sequence[str | None], fields: Sequence[str]) -> Any:
    wanted = {name: at for at, name in enumerate(fields)}
    for name in header:
        if name is None or name not in wanted:
            problem = f"found the column {name or ''!r} in the header, wanted {', '.join(fields)}"
            raise bad_row(path, line, problem, "file_format.columns are the names in the header")
    if len({*header}) < len(fields):
        raise bad_row(path, line, "the header has a column twice")
    return [wanted[name] for name in header if name is not None]


def _records(file: Outgoing) -> Iterator[tuple[int, list[str | None]]]:
    """Yield the records of a CSV file, and the line that each begins in."""
    begun, held, size, quotes = 0, list[str](), 0, 0
    for number, text in _lines(file):
        if not held and not text.rstrip("\r\n"):
            continue
        if not held and '"' not in text:
            yield number, [each or None for each in text.rstrip("\r\n").split(",")]
            continue
        begun = begun if held else number
        held.append(text)
        size += len(text)
        quotes += text.count('"')
        if size > _LONGEST:
            raise bad_row(file.path, begun, 'a row of more than 16 MiB; is a " missing?')
        if quotes % 2 == 0:
            yield begun, _split(file.path, begun, "".join(held).rstrip("\r\n"))
            held, size, quotes = [], 0, 0
    if held:
        raise bad_row(file.path, begun, 'a field begins with " and never ends')


def _split(path: str, line: int, record: str) -> list[str | None]:
    found: list[str | None] = []
    at = 0
    while True:
        if record.startswith('"', at):
            quoted = _QUOTED.match(record, at)
            if quoted is None:
                raise bad_row(path, line, 'a field begins with " and never ends')
            found.append(quoted[1].replace('""', '"'))
            at = quoted.end()
            if at < len(record) and record[at] != ",":
                raise bad_row(
                    path, line, 'there is more behind the " that ends a field', 'write "" for one in it'
                )
        else:
            end = record.find(",", at)
            text = record[at : len(record) if end < 0 else end]
            if '"' in text:
                raise bad_row(path, line, 'there is a " in a field that does not begin with one')
            found.append(text or None)
            at += len(text)
        if at >= len(record):
            return found
        at += 1


def _read_json(file: Outgoing, fields: Sequence[str]) -> Iterator[Row]:
    decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)
    begun, held = 0, ""
    for number, text in _lines(file):
        begun = begun if held else number
        held += text
        if len(held) > _LONGEST:
            raise bad_row(file.path, begun, "an object of more than 16 MiB")
        at, is_whole = _after_space(held, 0), True
        while at < len(held):
            try:
                found, at = decoder.raw_decode(held, at)
            except (ValueError, RecursionError) as error:
                is_whole = False
                problem = error
                break
            if not isinstance(found, dict):
                kind = {list: "a list", str: "a string", type(None): "null"}.get(
                    type(found), "a number or bool"
                )
                raise bad_row(file.path, begun, f"found {kind}, wanted an object", "write one object a line")
            yield Row(begun, [found.get(name) for name in fields])
            begun, at = number, _after_space(held, at)
        held = "" if is_whole else held[at:]
    if held.strip():
        raise bad_row(file.path, begun, f"it is no JSON: {problem}")


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _read_parquet(file: Outgoing, fields: Sequence[str]) -> Iterator[Row]:
    parquet = need("pyarrow.parquet", "Parquet")
    with tempfile.TemporaryFile() as copy:  # its index is at its end
        for block in file.read():
            copy.write(block)
        copy.seek(0)
        number = 0
        try:
            with parquet.ParquetFile(copy) as opened:
                there = set(opened.schema_arrow.names)
                known = [name for name in fields if name in there]
                for batch in opened.iter_batches(batch_size=_ROWS, columns=known):
                    columns = {name: batch.column(name).to_pylist() for name in known}
                    for at in range(batch.num_rows):
                        number += 1
                        yield Row(number, [columns[name][at] if name in columns else None for name in fields])
        except need("pyarrow", "Parquet").ArrowException as error:
            raise Refused(f"{file.path}: it is no Parquet: {error}") from None


class _Blocks(io.RawIOBase):
    """The bytes of a file as a stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _lines(file: Outgoing) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text with their numbers, their ends on them."""
    buffered = io.BufferedReader(_Blocks(file.read()), 1 << 20)
    number = 0
    with io.TextIOWrapper(buffered, encoding="utf-8-sig", newline="\n") as text:
        try:
            while line := text.readline(_LONGEST + 1):
                number += 1
                if len(line) > _LONGEST:
                    raise bad_row(file.path, number, "a line of more than 16 MiB")
                yield number, line
        except UnicodeDecodeError:
            raise bad_row(file.path, number + 1, "it, or what comes soon after it, is no UTF-8") from None
