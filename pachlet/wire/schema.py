"""The classes, enums and services of Pachyderm's API, made from the committed descriptor set.

There are no generated modules: they would clash with a Pachyderm client in the same process, since both
register the same names in protobuf's default pool, and would tie us to one protobuf release. The
descriptors live in a pool of our own, and a class is made when somebody first asks for it. The server
and the client touch descriptors only here.

Read next: pachlet/wire/proto/pfs_v2/pfs.proto, then pachlet/api.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pachlet.later import left_out

# What makes messages where protobuf has no compiled part is half of what protobuf takes to import.
with left_out("google.protobuf.internal.python_message", "calendar"):
    from google.protobuf import message_factory
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool

_BINPB = Path(__file__).with_name("pachyderm.binpb")


class Method(NamedTuple):
    """One RPC: its name, its message classes and which sides stream."""

    name: str
    request: type[Any]
    response: type[Any]
    client_streaming: bool
    server_streaming: bool


class Service(NamedTuple):
    """One gRPC service; an RPC's path on the wire is `/<full_name>/<method name>`."""

    full_name: str
    methods: tuple[Method, ...]


@cache
def message(full_name: str) -> type[Any]:
    """The class of a message such as `pfs_v2.CommitInfo`; KeyError if the schema has no such message."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


@cache
def services() -> tuple[Service, ...]:
    """Every service of the schema, by full name."""
    pool = _pool()
    found = [
        Service(full_name=service.full_name, methods=tuple(_method(method) for method in service.methods))
        for file in _descriptor_set().file
        for service in pool.FindFileByName(file.name).services_by_name.values()
    ]
    return tuple(sorted(found, key=lambda service: service.full_name))


def method(service: str, name: str) -> Method:
    """One RPC, by its service's full name and its own; a client that makes few calls makes few classes."""
    return _method(_pool().FindServiceByName(service).methods_by_name[name])


def enum_value(full_name: str, name: str) -> int:
    """The number of an enum's value; KeyError if the enum has no such name."""
    number: int = _pool().FindEnumTypeByName(full_name).values_by_name[name].number
    return number


def enum_name(full_name: str, number: int) -> str:
    """The name of an enum's value; KeyError for a number that the schema does not know."""
    name: str = _pool().FindEnumTypeByName(full_name).values_by_number[number].name
    return name


def _method(method: Any) -> Method:
    return Method(
        name=method.name,
        request=message(method.input_type.full_name),
        response=message(method.output_type.full_name),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
    )


@cache
def _descriptor_set() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(_BINPB.read_bytes())


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    # A file comes after the files that it imports, so each can be added as it is met.
    for file in _descriptor_set().file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool
