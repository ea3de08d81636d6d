"""Noise for every RPC: a sentence and a documented code for each, a clean log, nothing half done."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc
import pytest

from pachlet import testing
from pachlet.client import repos
from pachlet.client.connection import Connection
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
