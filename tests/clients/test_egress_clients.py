"""Egress with both published clients: of pipelines and by the RPC, and URLs of an object store both ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pachlet import testing
from pachlet.testing import RunningServer
from tests.clients.test_clients import run
from tests.object_store import ObjectStore


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    running = ObjectStore()
    yield running
    running.close()


@pytest.fixture
def server(
    store: ObjectStore, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningServer]:
    for key, value in store.environ.items():
        monkeypatch.setenv(key, value)
    with testing.server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.mark.parametrize(
    "client, program",
    [
        ("python-pachyderm", "egress_python_pachyderm.py"),
        ("pachyderm-sdk", "egress_pachyderm_sdk.py"),
    ],
)
def test_egress(server: RunningServer, store: ObjectStore, client: str, program: str) -> None:
    url = store.make_bucket(client)
    for key, text in (("source/b", b"2"), ("source/deep/c", b"3")):
        store.client.put_object(Bucket=client, Key=key, Body=text)
    seen = run(client, program, server, url)
    assert seen["put"] == ["/", "/a", "/all/", "/all/b", "/all/deep/", "/all/deep/c", "/b"]
    assert seen["job"] == [5, "pipeline"]  # JOB_SUCCESS
    files = {"a": "1", "b": "2", "all/b": "2", "all/deep/c": "3"}
    expected = {f"pipeline/{path}": text for path, text in files.items()}
    expected |= {"one/a": "1", "many/all/b": "2", "many/all/deep/c": "3"}
    if client == "pachyderm-sdk":  # the other one has no such method
        assert seen["bytes"] == 4
        expected |= {f"rpc/{path}": text for path, text in files.items()}
    found = store.files(client)
    assert {key: text for key, text in found.items() if not key.startswith("source/")} == expected
