"""The database: what a write block leaves behind, whatever ends it, and how others wait for it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pachlet.errors import Unavailable
from pachlet.metadb.changes import Changes, Closed
from pachlet.metadb.connect import Database, Rollback
from pachlet.metadb.statements import load_statements, parse_statements


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "pachlet.db")
    yield opened
    opened.close()


def put(database: Database, value: str) -> None:
    with database.write() as db:
        db.run("put_setting", key="key", value=value)


def setting(database: Database) -> str | None:
    with database.read() as db:
        value: str | None = db.value("get_setting", key="key")
        return value


def test_write_is_there_when_the_block_ends_and_not_before(database: Database) -> None:
    with database.write() as db:
        db.run("put_setting", key="key", value="new")
        assert setting(database) is None
    assert setting(database) == "new"


@pytest.mark.parametrize("error", [Rollback, ValueError])
def test_error_in_the_block_leaves_nothing(database: Database, error: type[Exception]) -> None:
    put(database, "old")
    ran: list[str] = []

    def fail() -> None:
        with database.write() as db:
            db.after_commit(lambda: ran.append("never"))
            db.run("put_setting", key="key", value="new")
            raise error

    if error is Rollback:
        fail()
    else:
        with pytest.raises(error):
            fail()
    assert (setting(database), ran) == ("old", [])
    put(database, "next")
    assert setting(database) == "next"


def test_full_disk_is_told_and_survived(database: Database) -> None:
    put(database, "old")
    with database.write() as db:
        pages = db.pragma("page_count")
    database._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="database or disk is full"):
        put(database, "x" * 1_000_000)
    assert setting(database) == "old"
    database._writer.execute("PRAGMA max_page_count = 1000000")
    put(database, "x" * 1_000_000)
    assert setting(database) == "x" * 1_000_000


@pytest.mark.parametrize("look", [setting, lambda database: database.look_up("get_setting", key="key")])
def test_database_that_can_not_be_read_is_told_and_survived(
    database: Database, look: Callable[[Database], object]
) -> None:
    put(database, "old")
    ours = set(os.listdir("/proc/self/fd"))
    # A pooled reader of its own, whose files are then such as can't be read.
    database._pool.append(database._connect())
    with open(os.devnull, "wb") as unreadable:
        for each in set(os.listdir("/proc/self/fd")) - ours - {str(unreadable.fileno())}:
            with contextlib.suppress(FileNotFoundError):
                if "pachlet.db" in os.readlink(f"/proc/self/fd/{each}"):
                    os.dup2(unreadable.fileno(), int(each), inheritable=False)
    with pytest.raises(Unavailable, match=r"can't read .*pachlet.db: disk I/O error"):
        look(database)
    assert not database._pool
    assert setting(database) == "old"


def test_commit_that_fails_is_survived(database: Database) -> None:
    # A deferred foreign key is looked at in the COMMIT itself.
    def fail() -> None:
        with database.write() as db:
            database._writer.execute("PRAGMA defer_foreign_keys = ON")
            db.run("add_branch", repo=12345, name="master", now=1)

    with pytest.raises(sqlite3.IntegrityError):
        fail()
    put(database, "after")
    assert setting(database) == "after"


def test_reader_keeps_its_snapshot(database: Database) -> None:
    put(database, "old")
    with database.read() as db:
        assert db.value("get_setting", key="key") == "old"
        put(database, "new")
        assert db.value("get_setting", key="key") == "old"
    assert setting(database) == "new"


def garbage_in_log(database: Database, size: int = 3_000_000) -> None:
    """Leave a file and a log that are mostly free pages, as a collection does."""
    put(database, "x" * size)
    put(database, "")
    while database.give_back(256):
        pass


def test_cut_log_shrinks_the_files_while_they_are_open(database: Database) -> None:
    garbage_in_log(database)
    assert database.size() < 1_000_000 < database.path.stat().st_size < database.size_on_disk()
    assert database.cut_log()
    assert database.size_on_disk() == database.path.stat().st_size == database.size()
    assert setting(database) == ""


def test_cut_log_leaves_the_files_to_who_reads_an_older_state(database: Database) -> None:
    put(database, "old")
    with database.read() as db:
        assert db.value("get_setting", key="key") == "old"
        put(database, "new")
        assert not database.cut_log()
        assert db.value("get_setting", key="key") == "old"
        assert database.size_on_disk() > database.path.stat().st_size
        put(database, "newer")  # and writes as patiently as ever
    assert database._pragma("busy_timeout") == 60_000
    assert database.cut_log()
    assert setting(database) == "newer"


def test_cut_log_has_little_left_to_do_when_writers_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, sizes = Database._cut_log, []

    def watched(self: Database) -> bool:
        sizes.append(self.path.stat().st_size)
        return ours(self)

    monkeypatch.setattr(Database, "_cut_log", watched)
    garbage_in_log(database)
    assert database.cut_log()
    assert sizes == [database.size()]
    with database.read() as db:
        assert db.value("get_setting", key="key") == ""
        put(database, "x" * 6_000_000)
        assert not database.cut_log()  # whoever reads may leave at any moment
    assert len(sizes) == 1


def test_wait_ends_with_a_change_or_the_end() -> None:
    changes = Changes()
    found: list[int] = []

    def wait() -> None:
        found.append(changes.until(lambda: changes.count or None))

    thread = threading.Thread(target=wait)
    thread.start()
    changes.announce()
    thread.join()
    assert found == [1]
    changes.close()
    with pytest.raises(Closed):
        changes.wait(changes.count)
    with pytest.raises(Closed):
        Changes().until(lambda: None, is_active=lambda: False)


def test_statement_names_are_unique() -> None:
    assert parse_statements("-- one: first\nSELECT 1\n-- two: second\nSELECT 2\n") == {
        "one": "SELECT 1",
        "two": "SELECT 2",
    }
    with pytest.raises(ValueError, match="statement one is there twice"):
        parse_statements("-- one: first\nSELECT 1\n-- one: second\nSELECT 2\n")


def test_every_statement_fits_the_schema(database: Database) -> None:
    statements = {name: text for name, text in load_statements().items() if "new_" not in text}
    assert {"find_chunks", "add_staged"} <= statements.keys()  # without the tables that only a collection has
    for name, text in statements.items():
        values: object = [None] * text.count("?") if "?" in text else Anything()
        steps = database._writer.execute(f"EXPLAIN {text}", values)  # type: ignore[arg-type]
        assert steps.fetchall(), name


class Anything(dict[str, None]):
    """A value for every name."""

    def __missing__(self, key: str) -> None:
        return None
