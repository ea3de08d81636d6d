"""Print, as JSON, every RPC, field and enum value that pachyderm-sdk's classes define.

Its generator keeps no descriptors: nested messages are flattened (`JobInfo.Success` is `JobInfoSuccess`),
fields are turned into snake case and packages lose their version. What is left is told as it is; the test
folds names. Runs inside that client's environment; only the standard library may be used besides the client.

Read next: tests/clients/test_schema_matches_clients.py.
"""

import ast
import dataclasses
import importlib
import inspect
import json
import pkgutil
import sys
import warnings

import betterproto

STREAMS = {
    "unary_unary": [False, False],
    "unary_stream": [False, True],
    "stream_unary": [True, False],
    "stream_stream": [True, True],
}


def modules():
    api = importlib.import_module("pachyderm_sdk.api")
    for module in pkgutil.iter_modules(api.__path__, api.__name__ + "."):
        yield module.name.rsplit(".", 1)[1], importlib.import_module(module.name)


def kind_of(cls, name, meta):
    """(betterproto's word for the type, the name of the message or enum, whether it repeats)."""
    known = cls()._betterproto
    repeated = known.default_gen[name] is list
    of = known.cls_by_field.get(name)
    return meta.proto_type, of.__name__ if of and meta.proto_type in ("message", "enum") else "", repeated


def read_message(cls):
    fields = {}
    for field in dataclasses.fields(cls):
        meta = field.metadata["betterproto"]
        kind, of, repeated = kind_of(cls, field.name, meta)
        fields[meta.number] = {
            "name": field.name,
            "type": kind,
            "of": of,
            "repeated": repeated,
            "map": meta.map_types or [],
            "wraps": meta.wraps or "",
            "oneof": meta.group or "",
            "optional": bool(meta.optional),
        }
    return fields


def read_rpcs(source, facts):
    for call in ast.walk(ast.parse(source)):
        if not (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in STREAMS
        ):
            continue
        codecs = {keyword.arg: keyword.value.value for keyword in call.keywords}
        facts["rpcs"][call.args[0].value] = {
            "request": ast.unparse(codecs["request_serializer"]),
            "response": ast.unparse(codecs["response_deserializer"]),
            "streams": STREAMS[call.func.attr],
        }


def main():
    facts = {"messages": {}, "enums": {}, "rpcs": {}}
    for package, module in modules():
        read_rpcs(inspect.getsource(module), facts)
        for name, cls in vars(module).items():
            if not isinstance(cls, type) or cls.__module__ != module.__name__:
                continue
            if issubclass(cls, betterproto.Message):
                facts["messages"][f"{package}.{name}"] = read_message(cls)
            elif issubclass(cls, betterproto.Enum):
                facts["enums"][f"{package}.{name}"] = {value.name: value.value for value in cls}
    json.dump(facts, sys.stdout)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
