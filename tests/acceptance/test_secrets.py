"""Secrets: made, listed and deleted as Kubernetes' own; what a spec names must be there; values go nowhere."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pachlet import testing
from pachlet.client import pipelines, repos
from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from pachlet.metadb.connect import Database
from pachlet.pps.secrets import secret_value, transform_secrets
from pachlet.testing import RunningServer
from tests.acceptance.words import PPS, pfs_input, shell

VALUE = "hunter2-and-a-half"


def make(connection: Connection, name: str = "s", text: str | None = None, **more: Any) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "data": {"key": base64.b64encode(VALUE.encode()).decode()},
        **more,
    }
    file = (text if text is not None else json.dumps(secret)).encode()
    connection.call(PPS, "CreateSecret", {"file": file})


def names(connection: Connection) -> list[str]:
    return [each.secret.name for each in connection.call(PPS, "ListSecret", {}).secret_info]


def test_secrets_come_and_go(connection: Connection) -> None:
    assert names(connection) == []
    make(connection, "b.c")
    make(connection, "a", metadata={"name": "a", "labels": {"suite": "pachyderm"}}, type="kubernetes.io/x")
    assert names(connection) == ["a", "b.c"]
    info = connection.call(PPS, "InspectSecret", {"secret": {"name": "b.c"}})
    assert (info.secret.name, info.type) == ("b.c", "Opaque")
    assert info.creation_timestamp.seconds > 0
    assert connection.call(PPS, "InspectSecret", {"secret": {"name": "a"}}).type == "kubernetes.io/x"
    connection.call(PPS, "DeleteSecret", {"secret": {"name": "a"}})
    assert names(connection) == ["b.c"]
    connection.call(PPS, "DeleteAll", {})
    assert names(connection) == []


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "failed to unmarshal secret: it is no JSON"),
        ("[1]", "failed to unmarshal secret: it must be an object"),
        ('{"metadata": 1}', "metadata must be an object"),
        ('{"metadata": {"name": "Upper_case"}}', "metadata.name must be lower case"),
        ('{"data": {}}', "metadata.name must be lower case"),
        ('{"metadata": {"name": "s"}, "data": {"k": "%s"}}', "data['k'] is no base64"),
        ('{"metadata": {"name": "s"}, "data": {"k": 1}}', "the values of data must be strings"),
        ('{"metadata": {"name": "s"}, "data": ["%s"]}', "data must be an object"),
        ('{"metadata": {"name": "s"}, "stringData": {"../k": "%s"}}', "'../k' is no key of a secret"),
        ('{"metadata": {"name": "s"}, "type": 1}', "type must be a string"),
        (
            '{"metadata": {"name": "s", "labels": {"suite": "mine"}}}',
            "invalid suite label set on secret: suite=mine",
        ),
        ('{"metadata": {"name": "s"}, "stringData": {"k": "%s"}', "it is no JSON"),
    ],
)
def test_what_is_no_secret_is_refused_without_repeating_it(
    connection: Connection, text: str, said: str
) -> None:
    with pytest.raises(PachletError) as refused:
        make(connection, text=text.replace("%s", VALUE))
    assert said in refused.value.message
    assert VALUE not in refused.value.message + refused.value.hint
    assert names(connection) == []


def test_a_secret_has_a_largest_size(connection: Connection) -> None:
    make(connection, "most", stringData={"big": "x" * ((1 << 20) - len(VALUE))})
    with pytest.raises(PachletError, match="more than 1 MiB"):
        make(connection, "more", stringData={"big": "x" * (1 << 20)})


def test_names_are_taken_once_and_must_be_known(connection: Connection) -> None:
    make(connection)
    with pytest.raises(PachletError, match='failed to create secret: secrets "s" already exists'):
        make(connection)
    for method, text in (
        ("InspectSecret", "failed to get secret"),
        ("DeleteSecret", "failed to delete secret"),
    ):
        with pytest.raises(PachletError, match=f'{text}: secrets "none" not found'):
            connection.call(PPS, method, {"secret": {"name": "none"}})
        with pytest.raises(PachletError, match="value is required"):
            connection.call(PPS, method, {})


@pytest.mark.parametrize("update", [False, True])
def test_a_pipeline_names_secrets_that_are_there(connection: Connection, update: bool) -> None:
    repos.create_repo(connection, "in")
    for wanted, text in (
        ({"name": "none", "mount_path": "/s"}, "missing Kubernetes secret none"),
        ({"name": "s", "env_var": "S", "key": "other"}, "Kubernetes secret s missing key other"),
        ({"name": "s", "env_var": "S"}, "secret s has env_var set but is missing key"),
    ):
        if wanted["name"] == "s" and "s" not in names(connection):
            make(connection)
        spec = shell("p", "true", pfs_input("in"), transform={"secrets": [wanted]})
        with pytest.raises(PachletError, match=text):
            pipelines.create_pipeline(connection, spec, update=update)
    assert list(pipelines.list_pipeline(connection)) == []


def test_what_code_is_given(server: RunningServer, connection: Connection) -> None:
    make(connection, stringData={"other": "ünïcode", "key": "laid over data"})
    secrets = [
        {"name": "s", "env_var": "S", "key": "key"},
        {"name": "s", "mount_path": "/etc/secret"},
    ]
    database = Database(server.data_dir / "pachlet.db")
    with database.read() as db:
        given = transform_secrets(db, {"transform": {"secrets": secrets}})
        assert secret_value(db, "s", "other") == "ünïcode".encode()
    database.close()
    assert given.environ == {"S": "laid over data"}
    assert given.files == {
        "/etc/secret/key": b"laid over data",
        "/etc/secret/other": "ünïcode".encode(),
    }
    assert repr(given) == "TransformSecrets()"


def test_values_are_in_the_database_alone_and_only_its_user_reads_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = tmp_path / "data"
    with testing.server(data) as server, Connection(server.address) as connection:
        make(connection)
        repos.create_repo(connection, "in")
        spec = shell("p", "true", pfs_input("in"), transform={"secrets": [{"name": "s", "env_var": "S"}]})
        with pytest.raises(PachletError):
            pipelines.create_pipeline(connection, spec)
        kept = {path for path in data.rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()}
        assert {path.name for path in kept} <= {"pachlet.db", "pachlet.db-wal"} != set()
        modes = {path.name: path.stat().st_mode & 0o777 for path in data.glob("pachlet.db*")}
        assert set(modes.values()) == {0o600}
        connection.call(PPS, "DeleteSecret", {"secret": {"name": "s"}})
    assert VALUE not in caplog.text
    with sqlite3.connect(data / "pachlet.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert VALUE.encode() not in (data / "pachlet.db").read_bytes()


def test_a_database_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "pachlet.db"
    Database(path).close()
    path.chmod(0o644)
    Database(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
