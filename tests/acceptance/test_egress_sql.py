"""Egress to SQL databases: through real pipelines, into SQLite and a real PostgreSQL."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pachlet import testing
from pachlet.client import jobs, pipelines, repos, secrets
from pachlet.client.connection import Connection
from pachlet.client.logs import get_logs
from pachlet.client.names import commit
from pachlet.client.put_file import from_bytes, put_file
from pachlet.clock import FakeClock
from pachlet.egress import database_url
from pachlet.errors import PachletError
from tests.acceptance.server_process import ServerProcess
from tests.acceptance.words import PFS, create, ended, job, last_job, pfs_input, put, shell
from tests.postgres_server import PASSWORD, Postgres, postgres

COPY = "cp -r /pfs/in/. /pfs/out/"
KINDS = """(
    n integer, name text NOT NULL, at timestamp, part numeric(12, 3), good boolean, day date, real_one double precision)
"""
CSV = (
    '1,"Tim, ""the"" first",2017-03-12T21:51:45Z,1.500,true,2017-03-12,1e3\n'
    "\n"
    '2,"",,,,,\r\n'
    '3,"two\nlines",2017-03-12 01:02:03,12345678.125,f,2024-02-29,-0.5'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("egress")


@pytest.fixture(scope="module")
def connection(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    data = tmp_path_factory.mktemp("data")
    with testing.server(data, egress_dir=folder) as server, Connection(server.address) as connected:
        add_secret(connected, "postgres", PASSWORD)
        yield connected


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def add_secret(connection: Connection, name: str, word: str) -> None:
    text = {"metadata": {"name": name}, "stringData": {"word": word}}
    secrets.create_secret(connection, json.dumps(text).encode())


def to(url: str, type: str = "CSV", *columns: str, secret: str = "") -> dict[str, Any]:
    """Make the egress of a spec."""
    target: dict[str, Any] = {"url": url, "file_format": {"type": type, "columns": list(columns)}}
    if secret:
        target["secret"] = {"name": secret, "key": "word"}
    return {"sql_database": target}


def deliver(
    connection: Connection, name: str, files: Mapping[str, str | bytes], egress: Mapping[str, Any]
) -> Any:
    """Put files, and have a pipeline with an egress copy them; return its job once it has ended."""
    repos.create_repo(connection, f"{name}-in")
    given = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    put_file(connection, f"{name}-in@master", [from_bytes(path, content) for path, content in given.items()])
    return create(connection, shell(name, COPY, pfs_input(f"{name}-in", "/", name="in"), egress=egress))


def query(path: Path, statement: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as found:
        rows = found.execute(statement).fetchall()
        found.commit()
        return rows


def logged(connection: Connection, pipeline: str) -> list[str]:
    return [each.message for each in get_logs(connection, pipeline=pipeline, master=True)]


def test_tables_of_postgresql_show_the_output(connection: Connection, server: Postgres) -> None:
    server.run(f"CREATE TABLE people {KINDS}")
    server.run("CREATE SCHEMA more")
    server.run('CREATE TABLE more."Odd % name" (a jsonb, "b b" text[])')
    server.run("INSERT INTO people (n, name) VALUES (99, 'of old')")
    files = {
        "/people/2024/a.csv": CSV,
        "/people/b.csv": "4,x,,,,,",
        "/more.Odd % name/x": '"{""k"": 1}","{a,b}"\n',
    }
    info = deliver(connection, "people", files, to(server.url, secret="postgres"))
    assert ended(info) == ("SUCCESS", 1, 0, 0, 1), info.reason
    rows = server.run(
        "SELECT n, name, at::text, part::text, good, day::text, real_one FROM people ORDER BY n"
    )
    assert rows == [
        [1, 'Tim, "the" first', "2017-03-12 21:51:45", "1.500", True, "2017-03-12", 1000.0],
        [2, "", None, None, None, None, None],
        [3, "two\nlines", "2017-03-12 01:02:03", "12345678.125", False, "2024-02-29", -0.5],
        [4, "x", None, None, None, None, None],
    ]
    assert server.run('SELECT * FROM more."Odd % name"') == [[{"k": 1}, ["a", "b"]]]
    end = f"egressed 1 rows to table more.Odd % name, 4 rows to table people, to {server.url}"
    assert end in logged(connection, "people")
    assert PASSWORD not in "".join(logged(connection, "people"))


def test_tables_of_sqlite_show_the_output(connection: Connection, folder: Path) -> None:
    database = folder / "out.db"
    query(database, f"CREATE TABLE people {KINDS}")
    query(database, "INSERT INTO people (n, name) VALUES (99, 'of old')")
    url = "sqlite:///out.db"
    assert ended(deliver(connection, "lite", {"/people/a.csv": CSV}, to(url)))[0] == "SUCCESS"
    assert query(database, "SELECT * FROM people ORDER BY n") == [
        (1, 'Tim, "the" first', "2017-03-12 21:51:45", 1.5, 1, "2017-03-12", 1000.0),
        (2, "", None, None, None, None, None),
        (3, "two\nlines", "2017-03-12 01:02:03", 12345678.125, 0, "2024-02-29", -0.5),
    ]


def test_header_of_csv_fields_of_json_and_parquet_find_their_columns(
    connection: Connection, folder: Path
) -> None:
    database = folder / "named.db"
    query(database, "CREATE TABLE t (id integer PRIMARY KEY, foo text, bar numeric)")
    url = "sqlite:///named.db"
    files: dict[str, str | bytes] = {"/t/a": "\ufeffbar,foo\n1,string\n2,text!\n", "/t/b": "foo,bar\nq,3\n"}
    info = deliver(connection, "csv", files, to(url, "CSV", "foo", "bar"))
    assert ended(info)[0] == "SUCCESS", info.reason
    expected = [("string", 1), ("text!", 2), ("q", 3)]
    assert query(database, "SELECT foo, bar FROM t ORDER BY bar") == expected

    files = {
        "/t/a": '{"bar": 1, "foo": "string", "more": {}}\n{\n"foo": "text!",\n"bar": 2}{"foo": "q", "bar": 3.0}'
    }
    info = deliver(connection, "json", files, to(url, "JSON", "foo", "bar"))
    assert ended(info)[0] == "SUCCESS", info.reason
    assert query(database, "SELECT foo, bar FROM t ORDER BY bar") == expected

    table = pyarrow.table({"bar": [1, 2, 3], "foo": ["string", "text!", "q"], "other": [0.5, 0.5, 0.5]})
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written)
    info = deliver(connection, "parquet", {"/t/a": written.getvalue()}, to(url, "PARQUET"))
    assert ended(info)[0] == "SUCCESS", info.reason
    assert query(database, "SELECT foo, bar FROM t ORDER BY bar") == expected


def test_bad_row_fails_the_job_and_changes_nothing(
    connection: Connection, server: Postgres, folder: Path
) -> None:
    server.run("CREATE TABLE strict (n smallint, s text NOT NULL)")
    server.run("INSERT INTO strict VALUES (99, 'of old')")
    rows = "".join(f"{n},x\n" for n in range(2500))
    for number, (line, problem) in enumerate(
        [
            ("40000,x", 'value "40000" is out of range for type smallint'),
            ("1,", 'null value in column "s" of relation "strict" violates not-null constraint'),
            ("one,x", "column n: 'one' is no integer"),
        ]
    ):
        files = {"/strict/a": "1,x\n", "/strict/b": f"{rows}{line}\n"}
        info = deliver(connection, f"strict-{number}", files, to(server.url, secret="postgres"))
        assert ended(info)[0] == "FAILURE"
        assert info.reason.startswith(f"egress failed: /strict/b:2501: {problem}")
        assert server.run("SELECT * FROM strict") == [[99, "of old"]]


@pytest.mark.parametrize(
    "egress, message",
    [
        (to("snowflake://u@h/d", secret="postgres"), 'database protocol "snowflake" not supported'),
        (to("postgresql://u@h/d"), "egress.sql_database.secret is required"),
        (to("postgresql://u@h/d", secret="none"), "missing Kubernetes secret none"),
        (to("postgresql://u@h/d", "UNKNOWN", secret="postgres"), "unknown file format UNKNOWN"),
        (to("postgresql://u:word@h/d", secret="postgres"), "has a password, which everybody may read"),
        (to("postgresql://u@h/d/s", secret="postgres"), "postgresql DSN should not contain schema name"),
        (to("postgresql://u@h/d?colour=red", secret="postgres"), "the parameter colour, which means nothing"),
        (to("postgresql://h/d", secret="postgres"), "names no user"),
    ],
)
def test_egress_that_can_not_be_is_refused_when_the_pipeline_is_made(
    connection: Connection, egress: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(PachletError) as refused:
        pipelines.create_pipeline(connection, shell("never", "true", egress=egress))
    assert message in refused.value.message


def test_what_somebody_has_to_mend_fails_the_job_at_once(connection: Connection, server: Postgres) -> None:
    add_secret(connection, "wrong", "guess")
    base = server.url.removesuffix("postgres")
    for name, url, secret, message in (
        ("password", server.url, "wrong", 'password authentication failed for user "postgres"'),
        ("database", f"{base}nothing", "postgres", 'database "nothing" does not exist'),
        ("table", server.url, "postgres", "there is no table unknown"),
        ("encryption", f"{server.url}?sslmode=require", "postgres", "Server refuses SSL"),
        ("file", "sqlite:///nothing.db", "", "there is no such database"),
        ("outside", "sqlite:///../nothing.db", "", "leads out of"),
    ):
        info = deliver(connection, name, {"/unknown/a": "1\n"}, to(url, secret=secret))
        assert ended(info)[0] == "FAILURE"
        assert message in info.reason, info.reason


def test_socket_of_postgresql_is_a_way_to_it(connection: Connection, server: Postgres) -> None:
    server.run("CREATE TABLE local (n integer)")
    url = f"postgres://postgres@:{server.port}/postgres?host={server.folder}/data"
    assert (
        ended(deliver(connection, "local", {"/local/a": "1\n"}, to(url, secret="postgres")))[0] == "SUCCESS"
    )
    assert server.run("SELECT * FROM local") == [[1]]


def test_rpc_fills_tables_and_counts_rows(connection: Connection, folder: Path) -> None:
    query(folder / "rpc.db", "CREATE TABLE t (n integer)")
    repos.create_repo(connection, "rpc")
    put(connection, "rpc@master", {"/t/a": "1\n2\n", "/t/b": "3"})
    target = to("sqlite:///rpc.db")["sql_database"]
    request = {"commit": commit("default", "rpc@master"), "sql_database": target}
    rows = connection.call(PFS, "Egress", request).sql_database.rows_written
    assert dict(rows) == {"t": 3}
    assert query(folder / "rpc.db", "SELECT * FROM t ORDER BY n") == [(1,), (2,), (3,)]
    with pytest.raises(PachletError, match=r"egress.sql_database.secret is required"):
        connection.call(PFS, "Egress", {**request, "sql_database": {**target, "url": "postgresql://u@h/d"}})


def test_database_that_is_not_there_yet_is_asked_again(tmp_path: Path) -> None:
    clock = FakeClock()
    with testing.server(tmp_path / "data", clock=clock) as served, Connection(served.address) as connection:
        add_secret(connection, "postgres", PASSWORD)
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/later/a": "1"})
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        egress = to(f"postgresql://postgres@127.0.0.1:{port}/postgres", secret="postgres")
        pipelines.create_pipeline(connection, shell("later", COPY, pfs_input("in", "/"), egress=egress))
        id = next(jobs.list_job(connection, pipeline="later")).job.id
        said = get_logs(connection, job=f"later@{id}", master=True, follow=True)
        tries = (line.message for line in said if "trying again" in line.message)
        assert next(tries).endswith("Connection refused; trying again in 1 s")
        assert jobs.inspect_job(connection, f"later@{id}").reason.startswith(
            "egress is tried again: postgresql://"
        )
        with postgres(port) as server:
            server.run("CREATE TABLE later (n integer)")
            clock.advance(2)
            assert ended(job(connection, "later", id)) == ("SUCCESS", 1, 0, 0, 1)
            assert server.run("SELECT * FROM later") == [[1]]


def test_table_that_is_locked_for_long_is_asked_for_less_and_less_often(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_url, "_LOCK_WITHIN", 1)
    server.run("CREATE TABLE busy_a (n integer)")
    server.run("CREATE TABLE busy_b (n integer)")
    other = server.connect()
    other.run("BEGIN")
    other.run("LOCK TABLE busy_b")
    clock = FakeClock()
    with testing.server(tmp_path / "data", clock=clock) as served, Connection(served.address) as connection:
        add_secret(connection, "postgres", PASSWORD)
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/busy_a/a": "1", "/busy_b/a": "2"})
        egress = to(server.url, secret="postgres")
        pipelines.create_pipeline(connection, shell("busy", COPY, pfs_input("in", "/"), egress=egress))
        id = next(jobs.list_job(connection, pipeline="busy")).job.id
        said = get_logs(connection, job=f"busy@{id}", master=True, follow=True)
        tries = (line.message for line in said if "trying again" in line.message)
        for seconds in (1, 2, 4):  # that one table was filled each time is no progress
            assert next(tries).endswith(f"due to lock timeout; trying again in {seconds} s")
            clock.advance(seconds + 1)
        assert next(tries).endswith("trying again in 8 s")
        assert server.run("SELECT * FROM busy_a") == []
        other.run("COMMIT")
        other.close()
        clock.advance(9)
        assert ended(job(connection, "busy", id))[0] == "SUCCESS"
        assert server.run("SELECT * FROM busy_a, busy_b") == [[1, 2]]


def test_job_is_stopped_while_its_table_is_locked_by_others(connection: Connection, server: Postgres) -> None:
    server.run("CREATE TABLE locked (n integer)")
    other = server.connect()
    other.run("BEGIN")
    other.run("LOCK TABLE locked")
    repos.create_repo(connection, "locked-in")
    put(connection, "locked-in@master", {"/locked/a": "1"})
    egress = to(server.url, secret="postgres")
    pipelines.create_pipeline(
        connection, shell("locked", COPY, pfs_input("locked-in", "/", name="in"), egress=egress)
    )
    id = next(jobs.list_job(connection, pipeline="locked")).job.id
    await_waiter(server)
    assert jobs.state_of(jobs.inspect_job(connection, f"locked@{id}")) == "JOB_EGRESSING"
    jobs.stop_job(connection, f"locked@{id}")
    assert ended(job(connection, "locked", id))[0] == "KILLED"
    put(connection, "locked-in@master", {"/locked/a": "2"})  # its egress waits as well, the first's no more
    await_waiter(server)
    other.run("COMMIT")
    other.close()
    assert ended(last_job(connection, "locked"))[0] == "SUCCESS"
    assert server.run("SELECT * FROM locked") == [[2]]


def await_waiter(server: Postgres) -> None:
    """Wait until somebody waits for a lock."""
    assert any(server.run("SELECT 1 FROM pg_locks WHERE NOT granted") for _ in range(3000))


def test_kill_of_the_server_in_mid_egress_fills_the_table_once(server: Postgres, tmp_path: Path) -> None:
    server.run("CREATE TABLE killed (n integer)")
    server.run("CREATE TABLE zz (n integer)")
    other = server.connect()
    other.run("BEGIN")
    other.run("LOCK TABLE zz")
    with ServerProcess(tmp_path / "data") as served, Connection(served.address) as connection:
        add_secret(connection, "postgres", PASSWORD)
        repos.create_repo(connection, "in")
        put(connection, "in@master", {"/killed/a": "1\n2\n", "/zz/a": "3\n"})
        egress = to(server.url, secret="postgres")
        pipelines.create_pipeline(connection, shell("p", COPY, pfs_input("in", "/"), egress=egress))
        await_waiter(server)  # one table is filled by now, in a transaction that nobody will commit
        served.kill()
    other.run("COMMIT")
    other.close()
    with ServerProcess(tmp_path / "data") as served, Connection(served.address) as connection:
        info = last_job(connection, "p")
        assert (ended(info), info.restart) == (("SUCCESS", 1, 0, 0, 1), 1)
    assert server.run("SELECT * FROM killed ORDER BY n") == [[1], [2]]
    assert server.run("SELECT * FROM zz") == [[3]]
