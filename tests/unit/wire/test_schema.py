"""The classes, services and enums that the schema gives out."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool, json_format

from pachlet.wire import schema


def test_message_has_the_full_name_and_is_one_class() -> None:
    commit = schema.message("pfs_v2.Commit")
    assert commit.DESCRIPTOR.full_name == "pfs_v2.Commit"
    assert schema.message("pfs_v2.Commit") is commit
    assert type(schema.message("pfs_v2.CommitInfo")().commit) is commit


def test_nested_message_has_its_own_class() -> None:
    details = schema.message("pfs_v2.CommitInfo.Details")(size_bytes=3)
    info = schema.message("pfs_v2.CommitInfo")(details=details)
    assert info.details.size_bytes == 3


@pytest.mark.parametrize("ask", [schema.message, lambda name: schema.enum_value(name, "USER")])
def test_unknown_name_is_a_key_error(ask: object) -> None:
    with pytest.raises(KeyError, match=r"pfs_v2\.Nothing"):
        ask("pfs_v2.Nothing")  # type: ignore[operator]


def test_well_known_types_are_of_the_same_pool_and_keep_their_methods() -> None:
    timestamp = schema.message("google.protobuf.Timestamp")()
    timestamp.FromSeconds(5)
    info = schema.message("pfs_v2.CommitInfo")(started=timestamp)
    assert info.started.ToJsonString() == "1970-01-01T00:00:05Z"


def test_json_knows_durations_wrappers_and_both_spellings() -> None:
    request = schema.message("pps_v2.CreatePipelineRequest")
    toleration = {"key": "gpu", "tolerationSeconds": "30"}
    sent = {"pipeline": {"name": "edges"}, "datumTimeout": "15s", "tolerations": [toleration]}
    parsed = json_format.ParseDict(sent, request())
    assert parsed.datum_timeout.seconds == 15
    assert parsed.tolerations[0].toleration_seconds.value == 30
    assert json_format.MessageToDict(parsed) == sent
    assert json_format.ParseDict({"datum_timeout": "15s"}, request()).datum_timeout.seconds == 15


def test_any_is_opened_with_the_messages_of_its_pool() -> None:
    packed = schema.message("google.protobuf.Any")()
    packed.Pack(schema.message("pfs_v2.Project")(name="crypto"))
    pool = packed.DESCRIPTOR.file.pool
    told = json_format.MessageToDict(packed, descriptor_pool=pool)
    assert told == {"@type": "type.googleapis.com/pfs_v2.Project", "name": "crypto"}
    assert json_format.ParseDict(told, type(packed)(), descriptor_pool=pool) == packed


@pytest.mark.parametrize(
    "message, field",
    [
        ("pfs_v2.ListFileRequest", "paginationMarker"),
        ("pps_v2.ListJobRequest", "jqFilter"),
        ("pfs_v2.GetFileRequest", "URL"),
    ],
)
def test_odd_field_names_are_the_same_in_json(message: str, field: str) -> None:
    assert schema.message(message).DESCRIPTOR.fields_by_name[field].json_name == field


def test_field_of_2_7_that_2_12_dropped_is_still_read() -> None:
    # Field 9 of TransactionRequest, holding a CreatePipelineRequest with `pipeline {name: "edges"}`.
    request = schema.message("transaction_v2.TransactionRequest").FromString(b"\x4a\x09\x0a\x07\x0a\x05edges")
    assert request.create_pipeline.pipeline.name == "edges"


def test_services_tell_their_methods() -> None:
    services = {service.full_name: service for service in schema.services()}
    assert sorted(services) == [service.full_name for service in schema.services()]
    pfs = {method.name: method for method in services["pfs_v2.API"].methods}
    assert pfs["ModifyFile"] == schema.Method(
        name="ModifyFile",
        request=schema.message("pfs_v2.ModifyFileRequest"),
        response=schema.message("google.protobuf.Empty"),
        client_streaming=True,
        server_streaming=False,
    )
    assert pfs["ListRepo"].server_streaming
    assert schema.method("pfs_v2.API", "ListRepo") == pfs["ListRepo"]
    for service, name in (("pfs_v2.API", "ListUnheardOf"), ("pfs_v2.Unheard", "ListRepo")):
        with pytest.raises(KeyError):
            schema.method(service, name)


def test_every_service_of_2_12_is_there_with_all_its_methods() -> None:
    assert {service.full_name: len(service.methods) for service in schema.services()} == {
        "admin_v2.API": 2,
        "auth_v2.API": 25,
        "debug_v2.Debug": 9,
        "enterprise_v2.API": 8,
        "grpc.health.v1.Health": 2,
        "identity_v2.API": 13,
        "license_v2.API": 9,
        "logs.API": 1,
        "metadata.API": 1,
        "pachyderm.worker.Worker": 3,
        "pachlet.v1.Datums": 2,
        "pachlet.v1.Lineage": 1,
        "pachlet.v1.Listing": 3,
        "pachlet.v1.LocalFiles": 2,
        "pachlet.v1.Proofs": 2,
        "pachlet.v1.Server": 1,
        "pachlet.v1.Storage": 6,
        "pachlet.v1.Work": 8,
        "pfs_v2.API": 56,
        "pjs.API": 10,
        "pps_v2.API": 42,
        "proxy.API": 1,
        "snapshot.API": 4,
        "storage.Fileset": 6,
        "transaction_v2.API": 7,
        "versionpb_v2.API": 1,
    }


def test_enum_names_and_numbers() -> None:
    assert schema.enum_value("pps_v2.JobState", "JOB_SUCCESS") == 5
    assert schema.enum_name("pps_v2.JobState", 5) == "JOB_SUCCESS"
    with pytest.raises(KeyError):
        schema.enum_value("pps_v2.JobState", "JOB_UNHEARD_OF")
    with pytest.raises(KeyError):
        schema.enum_name("pps_v2.JobState", 99)


def test_nothing_is_registered_in_the_pool_that_clients_use() -> None:
    schema.services()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("pfs_v2.Commit")
