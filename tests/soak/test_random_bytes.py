"""Noise for every RPC, round after round: each is answered in a sentence, and what was put beforehand is sound after.

Read next: random_bytes.py (what is thrown), ../acceptance/test_random_bytes.py (a few rounds in every run).
"""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest

from pachlet.client import repos
from pachlet.client.connection import Connection
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import PFS, put, tree
from tests.soak.random_bytes import filler, throw_at_all

ROUNDS = 100


@pytest.mark.soak
def test_noise_meets_no_bug_and_leaves_a_sound_server(tmp_path: Path) -> None:
    seed = 20261127 + int(os.environ.get("PACHLET_SOAK_SEED", "0"))
    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        with grpc.insecure_channel(server.address) as channel:
            assert list(throw_at_all(channel, seed, ROUNDS, filler(connection))) == []
        repos.create_repo(connection, "after")
        put(connection, "after@master", {"/x": "1"})
        assert tree(connection, "after@master") == {"/x": "1"}
        assert list(connection.call(PFS, "Fsck", {})) == []
        server.process.terminate()
        _, said = server.process.communicate(timeout=60)
        assert (server.process.returncode, said) == (0, "")
