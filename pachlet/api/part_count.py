"""Count the parts of a request before it is read, to refuse one whose parts would take all memory.

An empty message takes two bytes on the wire and fifty times as many and more once it is read: 20 MiB of them would be
several GB. So the bytes of a large request are walked first, as the schema says they are nested, and given up at the
first part too many. What is no message at all is left for the parser to refuse.

Read next: handlers.py (who asks).
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

MOST = 300_000
"""So many fields and messages may be in one request; a hundred thousand files of a backup are."""

SMALL = 64 * 1024
"""What is no larger than this can't hold enough parts to matter."""

_VARINT, _EIGHT_BYTES, _LENGTH, _GROUP, _GROUP_END, _FOUR_BYTES = range(6)
_Table: TypeAlias = "dict[int, Any]"
_PACKED = None


def has_too_many_parts(data: bytes, descriptor: Any) -> bool:
    """Tell whether the bytes of a message have more parts than it may have."""
    if len(data) <= SMALL:
        return False
    try:
        return _walk(data, descriptor)
    except IndexError:  # cut short
        return False


def _walk(data: bytes, descriptor: Any) -> bool:
    at, end, fields = 0, len(data), _nested(descriptor)
    outside: list[tuple[int, _Table]] = []
    left = MOST
    while True:
        while at >= end:
            if not outside:
                return False
            end, fields = outside.pop()
        left -= 1
        if left < 0:
            return True
        tag, at = _number(data, at)
        kind = tag & 7
        if kind == _LENGTH:
            length, at = _number(data, at)
            number = tag >> 3
            if number not in fields:
                at += length
            elif fields[number] is _PACKED:
                left -= length  # a number takes a byte at least
                at += length
            else:
                outside.append((end, fields))
                end, fields = min(end, at + length), _nested(fields[number])
        elif kind == _VARINT:
            _, at = _number(data, at)
        elif kind == _EIGHT_BYTES:
            at += 8
        elif kind == _FOUR_BYTES:
            at += 4
        elif kind not in (_GROUP, _GROUP_END):
            return False


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, and where it ends."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    number, shift = byte & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return number, at
        shift += 7


@cache
def _nested(descriptor: Any) -> _Table:
    """Return what may be nested in a message: by number of the field the message in it, or that it is packed."""
    fields: _Table = {}
    for field in descriptor.fields:
        if field.message_type is not None:
            fields[field.number] = field.message_type
        elif field.is_repeated and field.type not in (field.TYPE_STRING, field.TYPE_BYTES):
            fields[field.number] = _PACKED
    return fields
