"""Noise for every RPC: a sentence and a documented code for each, a clean log, nothing half done."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import grpc
import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import PFS, put
from tests.soak.random_bytes import filler, rpcs, throw, throw_at_all

ROOT = Path(__file__).parent.parent.parent
SEED = 20261121


def test_noise_meets_no_bug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with testing.server(tmp_path / "data", code=ROOT) as running, Connection(running.address) as connection:
        with grpc.insecure_channel(running.address) as channel:
            assert list(throw_at_all(channel, SEED, 3, filler(connection))) == []
        # It still serves, and what it keeps is sound.
        repos.create_repo(connection, "after")
        put(connection, "after@master", {"/x": "1"})
        assert list(connection.call(PFS, "Fsck", {})) == []
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe", b"\x08"]
)
def test_every_rpc_says_that_it_can_not_read_a_message(
    connection: Connection, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with grpc.insecure_channel(str(connection.address)) as channel:
        for rpc in rpcs():
            code, said = throw(channel, rpc, [garbage])
            if code == grpc.StatusCode.OK or code == grpc.StatusCode.UNIMPLEMENTED:
                continue  # an empty message takes anything for fields to come; what is not there reads nothing
            assert code in (
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.UNKNOWN,
                grpc.StatusCode.NOT_FOUND,
            ), said
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def peak(server: ServerProcess) -> int:
    """Return the most memory that a server ever had, in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def test_requests_of_millions_of_parts_take_no_memory(tmp_path: Path) -> None:
    """An empty message is two bytes on the wire and a hundred and more once it is read."""
    chance = random.Random(SEED)
    noise = chance.randbytes(8 << 20)
    lists = [
        (rpc, field) for rpc in rpcs() for field in rpc.method.request.DESCRIPTOR.fields if field.is_repeated
    ]
    assert len(lists) > 20
    with ServerProcess(tmp_path / "data") as server, grpc.insecure_channel(server.address) as channel:
        grpc.channel_ready_future(channel).result(10)
        before = peak(server)
        for rpc, field in chance.sample(lists, 20):
            empty = bytes([field.number << 3 | 2, 0]) if field.number < 16 else b"\xba\x02\x00"
            code, said = throw(channel, rpc, [empty * (3 << 20)], patience=20)
            assert code in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED), said
            throw(channel, rpc, [noise])
        assert peak(server) - before < 150


def test_a_large_request_of_few_parts_is_read(connection: Connection) -> None:
    repos.create_repo(connection, "a")
    put(connection, "a@master", {f"/{number:06}": "" for number in range(2000)})
    put(connection, "a@master", {"/large": "x" * (19 << 20)})
    names = [{"repo": {"name": f"{number}" * 20, "type": "user"}, "name": "b"} for number in range(20_000)]
    request = {"branch": {"repo": {"name": "a", "type": "user"}, "name": "b"}, "provenance": names}
    with pytest.raises(PachletError) as refused:
        connection.call(PFS, "CreateBranch", request)
    assert refused.value.code != "RESOURCE_EXHAUSTED"
