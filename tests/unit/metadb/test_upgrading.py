"""Formats: an older one is upgraded or stays as it was, a newer one is refused with a sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from pachlet import errors
from pachlet.metadb import connect
from pachlet.metadb.connect import FORMAT, Database
from pachlet.metadb.upgrading import MIGRATIONS, upgrade


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    connection.executescript("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1); PRAGMA user_version = 1;")
    return connection


def steps(tmp_path: Path, **texts: str) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name.lstrip('_')}.sql").write_text(text)
    return folder


def version(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def test_upgrade_runs_every_step_in_order(tmp_path: Path, connection: sqlite3.Connection) -> None:
    folder = steps(
        tmp_path,
        _1_to_2="CREATE TABLE b (y INTEGER); INSERT INTO b SELECT x + 1 FROM a",
        _2_to_3="DROP TABLE a; UPDATE b SET y = y * 10;",
    )
    upgrade(connection, 1, 3, folder)
    assert version(connection) == 3
    assert connection.execute("SELECT y FROM b").fetchall() == [(20,)]


def test_a_step_that_fails_leaves_all_as_it_was(tmp_path: Path, connection: sqlite3.Connection) -> None:
    folder = steps(tmp_path, _1_to_2="DROP TABLE a; CREATE TABLE b (y)", _2_to_3="DROP TABLE not_there")
    with pytest.raises(sqlite3.OperationalError):
        upgrade(connection, 1, 3, folder)
    assert version(connection) == 1
    assert connection.execute("SELECT x FROM a").fetchall() == [(1,)]
    assert not connection.in_transaction


def test_an_upgrade_that_breaks_references_is_taken_back(
    tmp_path: Path, connection: sqlite3.Connection
) -> None:
    folder = steps(
        tmp_path,
        _1_to_2="CREATE TABLE p (k PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES (7)",
    )
    with pytest.raises(errors.Corrupt, match="refer to nothing"):
        upgrade(connection, 1, 2, folder)
    assert version(connection) == 1


def test_a_newer_format_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pachlet.db"
    Database(path).close()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {FORMAT + 1}")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(errors.FailedPrecondition, match=f"data format {FORMAT + 1}, made by a newer pachlet"):
        Database(path)
    assert path.read_bytes() == before


def test_an_older_format_is_upgraded_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pachlet.db"
    Database(path).close()
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(connect, "FORMAT", FORMAT + 1)
    monkeypatch.setattr(connect, "upgrade", lambda connection, found, wanted: asked.append((found, wanted)))
    Database(path).close()
    assert asked == [(FORMAT, FORMAT + 1)]


def test_there_is_a_step_from_every_older_format() -> None:
    for number in range(1, FORMAT):
        assert (MIGRATIONS / f"{number}_to_{number + 1}.sql").is_file()


def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "pachlet.db"
    path.write_bytes(b"something else entirely" * 1000)
    with pytest.raises(errors.Corrupt, match="can't be opened: file is not a database"):
        Database(path)
