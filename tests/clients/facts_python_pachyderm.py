"""Print, as JSON, every RPC, field and enum value that python-pachyderm's own descriptors define.

Runs inside that client's environment, which has another protobuf than ours; only the standard library may be
used besides the client.

Read next: tests/clients/test_schema_matches_clients.py.
"""

import importlib
import json
import pkgutil
import sys
import warnings

from google.protobuf import descriptor_pb2


def descriptors():
    proto = importlib.import_module("python_pachyderm.proto.v2")
    for module in pkgutil.walk_packages(proto.__path__, proto.__name__ + "."):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(module.name).DESCRIPTOR


def read_enum(enum, facts):
    for value in enum.values:
        facts["enums"].setdefault(enum.full_name, {})[value.name] = value.number


def read_message(message, facts):
    proto = descriptor_pb2.DescriptorProto()
    message.CopyToProto(proto)
    fields = facts["messages"].setdefault(message.full_name, {})
    for field, declared in zip(message.fields, proto.field, strict=True):
        named = field.message_type or field.enum_type
        fields[field.number] = {
            "name": field.name,
            "json": field.json_name,
            "type": field.type,
            "label": field.label,
            "of": named.full_name if named else "",
            "oneof": field.containing_oneof.name if field.containing_oneof else "",
            "optional": declared.proto3_optional,
        }
    for nested in message.nested_types:
        read_message(nested, facts)
    for enum in message.enum_types:
        read_enum(enum, facts)


def main():
    facts = {"messages": {}, "enums": {}, "rpcs": {}}
    for file in descriptors():
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        for service in proto.service:
            for method in service.method:
                facts["rpcs"][f"/{proto.package}.{service.name}/{method.name}"] = {
                    "request": method.input_type.lstrip("."),
                    "response": method.output_type.lstrip("."),
                    "streams": [method.client_streaming, method.server_streaming],
                }
        for message in file.message_types_by_name.values():
            read_message(message, facts)
        for enum in file.enum_types_by_name.values():
            read_enum(enum, facts)
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
