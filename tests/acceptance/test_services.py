"""The services around the real work: what requests must have, clients that are too old, what a server tells."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import grpc
import pytest

from pachlet.client.connection import Connection
from pachlet.errors import InvalidArgument
from pachlet.testing import RunningServer

DEBUG = "debug_v2.Debug"


@pytest.mark.parametrize(
    "call, request_, text",
    [
        ("pfs_v2.API/DropCommitSet", {}, "invalid DropCommitSetRequest.CommitSet: value is required"),
        ("pfs_v2.API/DeleteBranch", {}, "invalid DeleteBranchRequest.Branch: value is required"),
        ("pps_v2.API/InspectPipeline", {}, "invalid InspectPipelineRequest.Pipeline: value is required"),
        ("pps_v2.API/DeletePipeline", {}, "invalid DeletePipelineRequest.Pipeline: value is required"),
        ("pps_v2.API/UpdateJobState", {}, "invalid UpdateJobStateRequest.Job: value is required"),
        (
            "pps_v2.API/StopJob",
            {"job": {"pipeline": {}}},
            "invalid StopJobRequest.Job: embedded message failed validation | caused by: invalid Job.Pipeline: "
            "embedded message failed validation | caused by: "
            "invalid Pipeline.Name: value length must be at least 1 bytes",
        ),
        (
            "transaction_v2.API/BatchTransaction",
            {"requests": [{}, {"delete_branch": {}}]},
            "invalid BatchTransactionRequest.Requests[1]: embedded message failed validation | caused by: "
            "invalid TransactionRequest.DeleteBranch: embedded message failed validation | caused by: "
            "invalid DeleteBranchRequest.Branch: value is required",
        ),
    ],
)
def test_request_that_lacks_something_is_refused(
    connection: Connection, call: str, request_: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        connection.call(*call.split("/"), request_)
    assert str(caught.value) == f"validate request: {text}"


def test_streams_are_checked_message_by_message(connection: Connection) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^validate recv: invalid InspectJobSetRequest.JobSet: value is req"
    ):
        list(connection.call("pps_v2.API", "InspectJobSet", {}))
    connection.call("pfs_v2.API", "CreateRepo", {"repo": {"name": "a"}})
    messages = [{"set_commit": {"repo": {"name": "a"}, "id": "master"}}, {"copy_file": {"dst": "/x"}}]
    with pytest.raises(InvalidArgument) as caught:
        connection.send("pfs_v2.API", "ModifyFile", messages)
    assert str(caught.value).startswith("validate recv: invalid ModifyFileRequest.CopyFile: ")


@pytest.mark.parametrize("method", ["/pfs.API/ListRepo", "/pps.API/ListJob", "/auth.API/WhoAmI"])
def test_client_of_1x_is_told_to_upgrade(server: RunningServer, method: str) -> None:
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as single:
            channel.unary_unary(method)(b"")
        with pytest.raises(grpc.RpcError) as streaming:
            next(channel.unary_stream(method)(b""))
    for caught in (single, streaming):
        assert caught.value.code() == grpc.StatusCode.UNKNOWN
        assert "your client appears to be an older version" in caught.value.details()


def test_unknown_service_is_unimplemented(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/nobody.API/Ask")(b"")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def unpack(content: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_dump_tells_what_there_is(connection: Connection) -> None:
    connection.call("pfs_v2.API", "CreateRepo", {"repo": {"name": "a"}})
    wanted = connection.call(DEBUG, "GetDumpV2Template", {}).request
    assert wanted.system.version
    first, *pieces = connection.call(DEBUG, "DumpV2", wanted)
    assert first.progress.progress > 0
    assert first.content.content == b""
    dumped = unpack(b"".join(each.content.content for each in pieces))
    assert json.loads(dumped["rows.json"])["repos"] == 1
    assert "pachlet" in json.loads(dumped["version.json"])
    assert "timer" in dumped["threads.txt"]
    assert unpack(b"".join(each.value for each in connection.call(DEBUG, "Dump", {}))).keys() == dumped.keys()


@pytest.mark.parametrize("method", ["Profile", "Binary"])
def test_profile_and_binary_are_not_empty(connection: Connection, method: str) -> None:
    assert unpack(b"".join(each.value for each in connection.call(DEBUG, method, {})))
