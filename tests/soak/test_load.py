"""Sixteen readers and a writer, each with a client of its own, and collections beside them: nobody is turned away.

Read next: pachlet/metadb/connect.py (why nobody meets a locked database).
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pachlet.client import commits, files, repos
from pachlet.client.connection import Connection
from pachlet.client.storage import collect_garbage, fsck
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import put, tree

READERS = 16


@pytest.mark.parametrize("writes", [pytest.param(6, id="sample"), pytest.param(1500, marks=pytest.mark.soak)])
def test_sixteen_readers_and_a_writer_are_all_served(tmp_path: Path, writes: int) -> None:
    """Each file of a commit holds the commit's number, so a reader sees one commit or another, never two."""
    written = threading.Event()

    def write(connection: Connection) -> None:
        for number in range(1, writes):
            put(connection, "a@master", {f"/{name}": f"{number}" for name in range(5)})

    def read(address: str, seed: int) -> int:
        chance, reads = random.Random(seed), 0
        with Connection(address) as connection:
            while not written.is_set():
                what = chance.randrange(4)
                if what == 0:
                    assert len({*tree(connection, "a@master").values()}) == 1
                elif what == 1:
                    assert len(list(files.list_file(connection, "a@master:/"))) == 5
                elif what == 2:
                    assert commits.inspect_commit(connection, "a@master").error == ""
                else:
                    assert len(list(commits.list_commit(connection, "a", number=3))) >= 1
                reads += 1
        return reads

    with ServerProcess(tmp_path / "data") as server, Connection(server.address) as connection:
        repos.create_repo(connection, "a")
        put(connection, "a@master", {f"/{name}": "0" for name in range(5)})
        with ThreadPoolExecutor(READERS + 1) as pool:
            reading = [pool.submit(read, server.address, seed) for seed in range(READERS)]
            writing = pool.submit(write, connection)
            try:
                while not writing.done():
                    collect_garbage(connection, lambda step: None, dry_run=False, grace=None, slack_percent=0)
                writing.result()
            finally:
                written.set()
            assert min(each.result() for each in reading) > 0
        assert set(tree(connection, "a@master").values()) == {str(writes - 1)}
        assert not list(fsck(connection))
