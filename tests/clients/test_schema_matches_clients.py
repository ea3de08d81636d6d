"""Every RPC, message, field and enum value that a published client knows is in our schema, and is the same.

Each client is asked in its own environment (their dependencies exclude each other and ours) by a small
program that prints what the client defines. What differs is compared with a list, so that a new difference
fails, and so does one that has gone.

Read next: pachlet/wire/proto.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
)

ROOT = Path(__file__).parents[2]

# What python-pachyderm 7.6.0 has in its descriptors but never sends itself, and 2.12 took back or renamed.
# (The one removed field that it does send, TransactionRequest.create_pipeline, our schema has.)
GONE_SINCE_2_7 = {
    # Moved to debug_v2.
    "rpc /pfs_v2.API/RunLoadTest is missing",
    "rpc /pfs_v2.API/RunLoadTestDefault is missing",
    "message pfs_v2.RunLoadTestRequest is missing",
    "message pfs_v2.RunLoadTestResponse is missing",
    # Compatible: the client ignores the field of the new answer.
    "rpc /pfs_v2.API/DeleteRepo: response is pfs_v2.DeleteRepoResponse, theirs google.protobuf.Empty",
    # Renamed on the same number: only the JSON differs.
    "field admin_v2.ClusterInfo 3: name is warnings_ok, theirs version_warnings_ok",
    "field admin_v2.ClusterInfo 3: json is warningsOk, theirs versionWarningsOk",
    "field admin_v2.ClusterInfo 4: name is warnings, theirs version_warnings",
    "field admin_v2.ClusterInfo 4: json is warnings, theirs versionWarnings",
    "field pps_v2.PipelineInfo 13: name is user_spec_json, theirs details_json",
    "field pps_v2.PipelineInfo 13: json is userSpecJson, theirs detailsJson",
    # A first draft of the cluster's defaults; the numbers are reserved.
    "field pps_v2.CreatePipelineRequest 36 is missing",
    "message pps_v2.CreatePipelineResponse is missing",
    "field pps_v2.ClusterDefaults 1 is missing",
    "field pps_v2.ClusterDefaults 2 is missing",
    "field pps_v2.GetClusterDefaultsResponse 1 is missing",
    "field pps_v2.SetClusterDefaultsRequest 1 is missing",
    "field pps_v2.SetClusterDefaultsResponse 1 is missing",
}

Facts = dict[str, dict[str, Any]]


def client_facts(client: str, program: str) -> Facts:
    python = ROOT / ".venvs" / client / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs the client's environment at {python.relative_to(ROOT)}")
    done = subprocess.run(
        [python, "-I", Path(__file__).with_name(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    facts: Facts = json.loads(done.stdout)
    return facts


@pytest.fixture(scope="module")
def ours() -> Facts:
    facts: Facts = {"messages": {}, "enums": {}, "rpcs": {}}
    compiled = FileDescriptorSet.FromString((ROOT / "pachlet/wire/pachyderm.binpb").read_bytes())
    for file in compiled.file:
        for message in file.message_type:
            add_message(facts, file.package, message)
        for enum in file.enum_type:
            add_enum(facts, file.package, enum)
        for service in file.service:
            for method in service.method:
                facts["rpcs"][f"/{file.package}.{service.name}/{method.name}"] = {
                    "request": method.input_type.lstrip("."),
                    "response": method.output_type.lstrip("."),
                    "streams": [method.client_streaming, method.server_streaming],
                }
    return facts


def add_message(facts: Facts, scope: str, message: DescriptorProto) -> None:
    name = f"{scope}.{message.name}"
    facts["messages"][name] = {
        str(field.number): {
            "name": field.name,
            "json": field.json_name,
            "type": field.type,
            "label": field.label,
            "of": field.type_name.lstrip("."),
            "oneof": message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "",
            "optional": field.proto3_optional,
        }
        for field in message.field
    }
    for nested in message.nested_type:
        add_message(facts, name, nested)
    for enum in message.enum_type:
        add_enum(facts, name, enum)


def add_enum(facts: Facts, scope: str, enum: EnumDescriptorProto) -> None:
    facts["enums"][f"{scope}.{enum.name}"] = {value.name: value.number for value in enum.value}


def differences(ours: Facts, theirs: Facts) -> set[str]:
    """What theirs has and ours lacks or says otherwise."""
    return {
        *differing("rpc", ours["rpcs"], theirs["rpcs"]),
        *missing("message", ours["messages"], theirs["messages"]),
        *missing("enum", ours["enums"], theirs["enums"]),
        *(
            difference
            for name, fields in theirs["messages"].items()
            if name in ours["messages"]
            for difference in differing(f"field {name}", ours["messages"][name], fields)
        ),
        *(
            f"enum {name}: {value} is {ours['enums'][name].get(value)}, theirs {number}"
            for name, values in theirs["enums"].items()
            if name in ours["enums"]
            for value, number in values.items()
            if ours["enums"][name].get(value) != number
        ),
    }


def missing(kind: str, ours: dict[str, Any], theirs: dict[str, Any]) -> set[str]:
    return {f"{kind} {name} is missing" for name in theirs if name not in ours}


def differing(kind: str, ours: dict[str, Any], theirs: dict[str, Any]) -> set[str]:
    return missing(kind, ours, theirs) | {
        f"{kind} {name}: {fact} is {ours[name][fact]}, theirs {value}"
        for name, facts in theirs.items()
        if name in ours
        for fact, value in facts.items()
        if ours[name][fact] != value
    }


def test_python_pachyderm(ours: Facts) -> None:
    theirs = client_facts("python-pachyderm", "facts_python_pachyderm.py")
    assert len(theirs["rpcs"]) > 150
    assert differences(ours, theirs) == GONE_SINCE_2_7


def test_pachyderm_sdk(ours: Facts) -> None:
    theirs = client_facts("pachyderm-sdk", "facts_pachyderm_sdk.py")
    assert len(theirs["rpcs"]) > 190
    assert differences(folded_ours(ours), folded_sdk(theirs)) == set()


# What our schema has beside pachyderm-sdk's, which is that of a server 2.12.2 message for message.
OF_OTHERS = (
    "message protobuf ",
    "enum protobuf ",
    "message pachlet ",
    "rpc /pachlet.v1.",
    "rpc /grpc.health.v1.",
)
BEYOND_THE_SDK = {
    # What python-pachyderm puts into a batch transaction.
    "field transaction transactionrequest 9 is missing",
    # In every server, and used by no client.
    "rpc /proxy.API/Listen is missing",
    "message proxy listenrequest is missing",
    "message proxy listenresponse is missing",
    "message grpc healthv1healthcheckrequest is missing",
    "message grpc healthv1healthcheckresponse is missing",
    "enum grpc healthv1healthcheckresponseservingstatus is missing",
}


def test_nothing_is_added_to_pachyderms_own_messages(ours: Facts) -> None:
    theirs = client_facts("pachyderm-sdk", "facts_pachyderm_sdk.py")
    beyond = differences(folded_sdk(theirs), folded_ours(ours))
    assert {each for each in beyond if not each.startswith(OF_OTHERS)} == BEYOND_THE_SDK


# The SDK's generator loses packages' versions, dots, underscores and capitals: both sides are folded alike.


def fold(name: str) -> str:
    return name.replace("_", "").replace(".", "").lower()


def folded_name(full_name: str, packages: list[str]) -> str:
    """`pfs_v2.FileInfo.Details` -> `pfs fileinfodetails`."""
    package = next(p for p in packages if full_name.startswith(p + "."))
    last = package.removesuffix("_v2").removesuffix("pb").rsplit(".", 1)[-1]
    return f"{last} {fold(full_name[len(package) + 1 :])}"


def last_word(folded: str) -> str:
    return folded.split()[-1]


def folded_ours(facts: Facts) -> Facts:
    packages = sorted(
        {name.split(".")[0] for name in facts["messages"]} | {"pachyderm.worker", "google.protobuf"}
    )
    packages.sort(key=len, reverse=True)
    entries = {name: fields for name, fields in facts["messages"].items() if name.endswith("Entry")}

    def field(of: dict[str, Any]) -> dict[str, Any]:
        entry = entries.get(of["of"])
        return {
            "name": fold(of["name"]),
            "type": "map" if entry else type_word(of["type"]),
            "of": last_word(folded_name(of["of"], packages)) if of["of"] and not entry else "",
            "repeated": of["label"] == FieldDescriptorProto.LABEL_REPEATED and not entry,
            "map": [type_word(entry[number]["type"]) for number in ("1", "2")] if entry else [],
            "oneof": fold(of["oneof"]),
            "optional": of["optional"],
        }

    folded: Facts = {"messages": {}, "enums": {}, "rpcs": {}}
    for name, fields in facts["messages"].items():
        if name not in entries:
            key = folded_name(name, packages)
            assert key not in folded["messages"], f"{name} folds onto another message"
            folded["messages"][key] = {number: field(of) for number, of in fields.items()}
    for name, values in facts["enums"].items():
        folded["enums"][folded_name(name, packages)] = values
    for path, rpc in facts["rpcs"].items():
        ends = {side: last_word(folded_name(rpc[side], packages)) for side in ("request", "response")}
        folded["rpcs"][path] = {**rpc, **ends}
    return folded


def type_word(number: int) -> str:
    return FieldDescriptorProto.Type.Name(number).removeprefix("TYPE_").lower()


def folded_sdk(facts: Facts) -> Facts:
    # betterproto shows these well-known messages as Python's own types.
    pythonic = {"datetime": "timestamp", "timedelta": "duration"}

    def field(of: dict[str, Any]) -> dict[str, Any]:
        named = f"{of['wraps']}value" if of["wraps"] else pythonic.get(of["of"], fold(of["of"]))
        kept = {fact: of[fact] for fact in ("type", "repeated", "map", "optional")}
        return {**kept, "name": fold(of["name"]), "of": named, "oneof": fold(of["oneof"])}

    def key(name: str) -> str:
        package, rest = name.split(".", 1)
        return f"{package} {fold(rest)}"

    return {
        "messages": {
            key(name): {number: field(of) for number, of in fields.items()}
            for name, fields in facts["messages"].items()
        },
        "enums": {key(name): values for name, values in facts["enums"].items()},
        "rpcs": {
            path: {**rpc, **{side: fold(rpc[side].rsplit(".", 1)[-1]) for side in ("request", "response")}}
            for path, rpc in facts["rpcs"].items()
        },
    }
