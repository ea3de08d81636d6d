"""Which fields a spec may have and of what kind, taken from the schema of CreatePipelineRequest.

The schema is the one truth: a field that the wire knows is a field of the spec, under its own name
(datum_tries) and under its JSON name (datumTries).

Read next: check.py (who compares a spec with this), wire/schema.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from google.protobuf.descriptor import FieldDescriptor

from pachlet.wire import schema

SPEC = "pps_v2.CreatePipelineRequest"

Kind = Literal["string", "bool", "integer", "number", "enum", "object", "duration", "time"]


@dataclass(frozen=True)
class Field:
    """One field: how it is written and what it holds."""

    name: str
    json_name: str
    kind: Kind
    repeated: bool = False
    is_map: bool = False  # then the kind is that of the values, and keys are strings
    message: str = ""  # of an object: its full name in the schema
    values: tuple[str, ...] = ()  # of an enum: its names, by number
    lowest: int = 0  # of an integer
    highest: int = 0
    oneof: str = ""  # of the fields with one such name, only one may be there


@cache
def fields(message: str) -> dict[str, Field]:
    """Return the fields of a message by each name under which they may be written."""
    by_name: dict[str, Field] = {}
    for descriptor in schema.message(message).DESCRIPTOR.fields:
        field = _field(descriptor)
        by_name[field.name] = by_name[field.json_name] = field
    return by_name


_INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}
_SIMPLE: dict[int, Kind] = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_FLOAT: "number",
    FieldDescriptor.TYPE_DOUBLE: "number",
}
_WELL_KNOWN: dict[str, Kind] = {
    "google.protobuf.Duration": "duration",
    "google.protobuf.Timestamp": "time",
}
_WRAPPED = {"google.protobuf.Int64Value": FieldDescriptor.TYPE_INT64}


def _field(descriptor: Any) -> Field:
    names = {"name": descriptor.name, "json_name": descriptor.json_name}
    held = descriptor
    is_map = descriptor.message_type is not None and descriptor.message_type.GetOptions().map_entry
    if is_map:
        held = descriptor.message_type.fields_by_name["value"]
    oneof = descriptor.containing_oneof.name if descriptor.containing_oneof is not None else ""
    repeated = descriptor.is_repeated and not is_map
    return Field(**names, **_kind(held), repeated=repeated, is_map=is_map, oneof=oneof)


def _kind(held: Any) -> dict[str, Any]:
    message = held.message_type.full_name if held.message_type is not None else ""
    number = _WRAPPED.get(message, held.type)
    if number in _INTEGERS:
        lowest, highest = _INTEGERS[number]
        return {"kind": "integer", "lowest": lowest, "highest": highest}
    if message in _WELL_KNOWN:
        return {"kind": _WELL_KNOWN[message]}
    if message:
        return {"kind": "object", "message": message}
    if held.enum_type is not None:
        return {"kind": "enum", "values": tuple(value.name for value in held.enum_type.values)}
    return {"kind": _SIMPLE[number]}
