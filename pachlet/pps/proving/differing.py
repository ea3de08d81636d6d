"""Compare what a step gives now with what is stored, and say where the first difference is, in the file's own terms.

Whether a file differs is a question of bytes. Where it does is told as people look for it: the field of a JSON document
or the cell of a table, if the file is one and not too large to be read at once, else the number of the byte.

Read next: proving.py (who asks).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_LARGEST = 32 << 20
"""Bytes of a file that is read at once to find its field; beyond, the byte is told."""
_SHOWN = 60
"""Characters of a value that are told."""

Bytes = Callable[[], Iterable[bytes]]
"""Reads a file from its beginning."""


@dataclass(frozen=True)
class Compared:
    """A file that was made again."""

    digest: bytes
    """Of what is there now."""
    difference: str
    """Where it first differs from what is stored, as part of a sentence; empty if the bytes are the same."""


def compare(path: str, now: Bytes, stored: Bytes | None) -> Compared:
    """Compare a file with its stored bytes, if there are any; `path` says by its ending what is in it."""
    if stored is None:
        return Compared(_first_byte(now(), ())[0], "it is not in the commit")
    digest, at, size, stored_size = _first_byte(now(), stored())
    if at is None:
        return Compared(digest, "")
    field = None
    if max(size, stored_size) <= _LARGEST:
        field = _field(path, b"".join(now()), b"".join(stored()))
    return Compared(digest, field or _byte(at, size, stored_size, now, stored))


class _Reader:
    """Gives bytes in the sizes that are asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""
        self.read = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes, less than asked for only at the end."""
        parts, left = [], size
        while left:
            if not self._rest:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = block
                continue
            parts.append(self._rest[:left])
            self._rest = self._rest[left:]
            left -= len(parts[-1])
        found = b"".join(parts)
        self.read += len(found)
        return found

    def skip(self) -> None:
        """Read to the end."""
        while self.take(1 << 20):
            pass


def _first_byte(now: Iterable[bytes], stored: Iterable[bytes]) -> tuple[bytes, int | None, int, int]:
    """Return a digest of what is there now, where it first differs (None: nowhere), and both sizes."""
    hasher, size, at = hashlib.blake2b(digest_size=32), 0, None
    reader = _Reader(stored)
    for block in now:
        hasher.update(block)
        if at is None:
            before = reader.take(len(block))
            if before != block:
                at = size + _common(block, before)
        size += len(block)
    if at is None and reader.take(1):
        at = size
    reader.skip()
    return hasher.digest(), at, size, reader.read


def _common(left: bytes, right: bytes) -> int:
    """Return how many bytes at the beginning are the same."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _byte(at: int, size: int, stored_size: int, now: Bytes, stored: Bytes) -> str:
    if at == size:
        return f"it ends after {size} bytes, where {stored_size} are stored"
    if at == stored_size:
        return f"it goes on after the {stored_size} bytes that are stored, to {size}"
    ours, theirs = _byte_at(now(), at), _byte_at(stored(), at)
    return f"byte {at} is 0x{ours:02x}, stored is 0x{theirs:02x}"


def _byte_at(blocks: Iterable[bytes], at: int) -> int:
    reader = _Reader(blocks)
    reader.take(at)
    return reader.take(1)[0]


# In the file's own terms.


def _field(path: str, now: bytes, stored: bytes) -> str | None:
    """Return the first field that differs, None if the file has no fields or they are all the same."""
    ending = path.rpartition(".")[2].lower()
    try:
        if ending == "json":
            return next(_walk("", json.loads(now), json.loads(stored)), None)
        if ending in ("jsonl", "ndjson"):
            return next(_lines(now, stored), None)
        if ending in ("csv", "tsv"):
            return next(_cells(now, stored, "\t" if ending == "tsv" else ","), None)
    except (ValueError, RecursionError, csv.Error):
        pass  # it is not what it is called
    return None


def _walk(at: str, now: Any, stored: Any) -> Iterator[str]:
    """Yield what differs between two JSON values, in the order of what is stored."""
    if isinstance(now, dict) and isinstance(stored, dict):
        for key in [*stored, *(key for key in now if key not in stored)]:
            place = f"{at}.{key}" if at else key
            if key not in now:
                yield f"field {place} is not there, stored is {_shown(stored[key])}"
            elif key not in stored:
                yield f"field {place} is {_shown(now[key])}, and not there in what is stored"
            else:
                yield from _walk(place, now[key], stored[key])
    elif isinstance(now, list) and isinstance(stored, list):
        for index, (one, other) in enumerate(zip(now, stored, strict=False)):
            yield from _walk(f"{at}[{index}]", one, other)
        if len(now) != len(stored):
            yield f"{_place(at)} has {len(now)} items, stored are {len(stored)}"
    elif not _is_same(now, stored):
        yield f"{_place(at)} is {_shown(now)}, stored is {_shown(stored)}"


def _is_same(now: Any, stored: Any) -> bool:
    return type(now) is type(stored) and (now == stored or (now != now and stored != stored))


def _place(at: str) -> str:
    return f"field {at}" if at else "the value"


def _lines(now: bytes, stored: bytes) -> Iterator[str]:
    ours, theirs = now.splitlines(), stored.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one != other:
            yield from (f"line {number}: {each}" for each in _walk("", json.loads(one), json.loads(other)))
    if len(ours) != len(theirs):
        yield f"it has {len(ours)} lines, stored are {len(theirs)}"


def _cells(now: bytes, stored: bytes, delimiter: str) -> Iterator[str]:
    ours, theirs = _rows(now, delimiter), _rows(stored, delimiter)
    header = theirs[0] if theirs else []
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        for index, (mine, its) in enumerate(zip(one, other, strict=False)):
            if mine != its:
                column = header[index] if number > 1 and index < len(header) else str(index + 1)
                yield f"row {number}, column {column} is {_shown(mine)}, stored is {_shown(its)}"
        if len(one) != len(other):
            yield f"row {number} has {len(one)} cells, stored are {len(other)}"
    if len(ours) != len(theirs):
        yield f"it has {len(ours)} rows, stored are {len(theirs)}"


def _rows(text: bytes, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline=""), delimiter=delimiter))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
