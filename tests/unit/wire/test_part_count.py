"""Counting the parts of a request: no list of any RPC's request, however deep, gets past it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest

from pachlet.api import part_count
from pachlet.api.part_count import SMALL, has_too_many_parts
from pachlet.wire import schema

MOST = 2000


def number(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def field(of: Any, data: bytes) -> bytes:
    """Return a field that holds bytes of any length: a message, a text, a packed list."""
    return number(of.number << 3 | 2) + number(len(data)) + data


def lists(root: Any) -> Iterator[tuple[list[Any], Any]]:
    """Yield each list that can be in a message, with the fields that lead to it, the shortest way."""
    todo, seen = deque[tuple[list[Any], Any]]([([], root)]), {root.full_name}
    while todo:
        way, kind = todo.popleft()
        for each in kind.fields:
            if each.is_repeated:
                yield way, each
            if each.message_type is not None and each.message_type.full_name not in seen:
                seen.add(each.message_type.full_name)
                todo.append(([*way, each], each.message_type))


def test_no_list_of_any_request_may_have_too_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_count, "MOST", MOST)
    looked_at, unknown = (
        0,
        number(1 << 28 | 2) + number(SMALL) + bytes(SMALL),
    )  # of no message; makes it large
    for service in schema.services():
        for method in service.methods:
            for way, each in lists(method.request.DESCRIPTOR):
                is_packed = each.message_type is None and each.type not in (each.TYPE_STRING, each.TYPE_BYTES)
                many, few = (
                    field(each, bytes(2 * count)) if is_packed else field(each, b"") * count
                    for count in (MOST, MOST // 2 - len(way) - 10)
                )
                for data, expected in ((many + many, True), (few, False)):
                    for outside in reversed(way):
                        data = field(outside, data)
                    found = has_too_many_parts(data + unknown, method.request.DESCRIPTOR)
                    assert found is expected, (service.full_name, method.name, each.full_name)
                    looked_at += 1
    assert looked_at > 200
