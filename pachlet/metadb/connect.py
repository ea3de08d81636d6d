"""Open the database and hand out transactions.

One connection writes, behind a lock, because SQLite has one writer anyway and a queue in the process is fairer and
faster than `database is locked`. Readers take connections from a pool and see a snapshot.

Read next: schema.sql, queries/pfs.sql.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pachlet.errors import Corrupt, FailedPrecondition, Unavailable
from pachlet.metadb.changes import Changes
from pachlet.metadb.statements import load_statements
from pachlet.metadb.turns import Turns
from pachlet.metadb.upgrading import upgrade

FORMAT = 2
"""The version of schema.sql; a database with a newer one is refused, one with an older one upgraded."""
_PATIENCE = 60  # seconds
_PATIENCE_WITH_READERS = 0.2  # seconds, while all writers wait
_FEW_PAGES = 1000
"""SQLite itself has a writer copy so many from the log into the file after a commit."""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

Row = sqlite3.Row


class Transaction:
    """Runs named statements; what it wrote becomes visible when its `with` block ends without an error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._statements = load_statements()
        self._after: list[Callable[[], None]] = []

    def all(self, statement: str, /, **values: Any) -> list[Row]:
        """Return every row."""
        return self._connection.execute(self._statements[statement], values).fetchall()

    def each(self, statement: str, /, **values: Any) -> Iterator[Row]:
        """Yield every row as it is found, for more than should be in memory; the transaction must outlive it."""
        return iter(self._connection.execute(self._statements[statement], values))

    def first(self, statement: str, /, **values: Any) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._connection.execute(self._statements[statement], values).fetchone()
        return row

    def value(self, statement: str, /, **values: Any) -> Any:
        """Return the first column of the first row, or None."""
        row = self.first(statement, **values)
        return None if row is None else row[0]

    def run(self, statement: str, /, **values: Any) -> int:
        """Run a statement that writes; return the id of the last row inserted."""
        return self._connection.execute(self._statements[statement], values).lastrowid or 0

    def many(self, statement: str, rows: Iterable[Any]) -> None:
        """Run a statement that writes once per row of positional values."""
        self._connection.executemany(self._statements[statement], rows)

    def pragma(self, name: str) -> int:
        """Return a number that SQLite keeps of the database."""
        value: int = self._connection.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def faults(self) -> list[str]:
        """Return what SQLite finds wrong with the file, and references that lead nowhere."""
        found = [row[0] for row in self._connection.execute("PRAGMA quick_check(10)") if row[0] != "ok"]
        for row in self._connection.execute("PRAGMA foreign_key_check").fetchmany(10):
            found.append(f"row {row[1]} of table {row[0]} refers to a row of {row[2]} that is not there")
        return found

    @contextlib.contextmanager
    def overwriting(self) -> Iterator[None]:
        """Overwrite what is deleted in the block, where a row of the file otherwise stays until its place is used."""
        self._connection.execute("PRAGMA secure_delete = ON").fetchall()
        try:
            yield
        finally:
            self._connection.execute("PRAGMA secure_delete = OFF").fetchall()

    def after_commit(self, action: Callable[[], None]) -> None:
        """Call `action` once the transaction is on disk; not at all if it fails."""
        self._after.append(action)

    def run_actions(self) -> None:
        """Call the actions given to `after_commit`."""
        actions = list(self._after)
        self.forget_actions()
        for action in actions:
            action()

    def forget_actions(self) -> None:
        """Let go of the actions, which may hold this and what was written: nothing then lives longer than it should."""
        self._after.clear()


class Rollback(Exception):
    """Raised inside a write block to leave it without writing anything."""


class Database:
    """The database file, its writer and its readers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.changes = Changes()
        self._write_lock = Turns()
        # No lock: taking one out and putting one back is one step each. A reader that Python drops in the middle of
        # anything at all (a stream that nobody reads any more) puts its connection back in whatever thread that is.
        self._pool: deque[sqlite3.Connection] = deque()
        try:
            _make_private(path)
            self._writer = self._connect()
            with contextlib.ExitStack() as failed:
                failed.callback(self._writer.close)
                self._create_or_check()
                failed.pop_all()
        except (sqlite3.DatabaseError, OSError) as error:
            raise Corrupt(
                f"{path} can't be opened: {error}",
                hint="if it is damaged, restore the data directory from a backup",
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE
        )
        connection.row_factory = sqlite3.Row
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            # It counts in a new file only: pages that become free can be given back a few at a time.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _create_or_check(self) -> None:
        found: int = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found > FORMAT:
            raise FailedPrecondition(
                f"{self.path} has data format {found}, made by a newer pachlet; this one reads up to {FORMAT}",
                hint="use the newer pachlet on this data directory, or another --data-dir",
            )
        if 0 < found < FORMAT:
            upgrade(self._writer, found, FORMAT)
        elif found == 0:
            schema = (Path(__file__).parent / "schema.sql").read_text()
            self._writer.executescript(f"BEGIN; {schema}; PRAGMA user_version = {FORMAT}; COMMIT;")

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """Give the one write transaction: committed at the end of the block, rolled back on any error."""
        with self._write_lock:
            transaction = Transaction(self._writer)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield transaction
                self._writer.execute("COMMIT")
            except BaseException as error:
                transaction.forget_actions()
                if self._writer.in_transaction:  # SQLite has ended it itself after some errors of the disk
                    self._writer.execute("ROLLBACK")
                if isinstance(error, Rollback):
                    return
                if isinstance(error, sqlite3.Error):
                    self._explain(error, "write")
                raise
        self.changes.announce()
        transaction.run_actions()

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """Give a read transaction: one consistent snapshot that never waits for the writer."""
        with self._reader() as connection:
            connection.execute("BEGIN")
            try:
                yield Transaction(connection)
            finally:
                if connection.in_transaction:  # SQLite has ended it itself after some errors of the disk
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that reads, and explain what SQLite complains of: after that it is not used again."""
        connection = self._take_reader()
        try:
            yield connection
        except sqlite3.Error as error:
            connection.close()
            self._explain(error)
            raise
        except BaseException:
            self._pool.append(connection)
            raise
        self._pool.append(connection)

    def _take_reader(self) -> sqlite3.Connection:
        try:
            return self._pool.pop()
        except IndexError:
            try:
                return self._connect()
            except sqlite3.Error as error:
                self._explain(error)
                raise

    def _explain(self, error: sqlite3.Error, doing: str = "read") -> None:
        """Raise what an error of SQLite means: that the file is damaged, or that its disk fails; else it is a bug."""
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # it is Python's own: bytes that are no text, or a mistake of ours
            is_damaged = isinstance(error, sqlite3.OperationalError)
        else:  # the schema and every statement fit each other, so a table that is not there was there
            is_damaged = code & 0xFF in _DAMAGE or str(error).startswith("no such ")
        if is_damaged:
            raise Corrupt(
                f"{self.path} is damaged: {error}",
                hint="`pachctl fsck` says where; restore it from a backup",
            ) from error
        if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
            raise Unavailable(
                f"can't {doing} {self.path}: {error}", hint="look at the disk's space and health"
            ) from error

    def look_up(self, statement: str, **values: Any) -> Row | None:
        """Return the first row of one query, or None; cheaper than a read transaction of one statement."""
        rows = self.look_up_all(statement, **values)
        return rows[0] if rows else None

    def look_up_all(self, statement: str, **values: Any) -> list[Row]:
        """Return the rows of one query; cheaper than a read transaction of one statement."""
        with self._reader() as connection:
            # One statement sees one state by itself; fetching all ends it.
            rows: list[Row] = connection.execute(load_statements()[statement], values).fetchall()
        return rows

    def size(self) -> int:
        """Return the size of the database in bytes: that of its file if nothing were in its log."""
        with self.read() as db:
            return db.pragma("page_count") * db.pragma("page_size")

    def size_on_disk(self) -> int:
        """Return how many bytes its file and its log are long."""
        files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(each.stat().st_size for each in files if each.exists())

    def give_back(self, pages: int) -> bool:
        """Give at most so many free pages back; tell whether there are more.

        The file system has them when what is in the log is in the file: see `cut_log`.
        """
        with self._write_lock:
            try:
                before = self._pragma("freelist_count")
                self._writer.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
                left = self._pragma("freelist_count")
            except sqlite3.Error as error:
                self._explain(error, "write")
                raise
        return 0 < left < before

    def cut_log(self) -> bool:
        """Bring what is in the log into the file, cut both off, and tell whether that was possible.

        It is not on a full disk, or while somebody reads an older state; that does no harm. Writers go on meanwhile,
        but for the last few pages.
        """
        try:
            with self._reader() as connection:
                # SQLite syncs the file only if nobody has written meanwhile, so as a rule the second time.
                for _ in range(2):
                    _, pages, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages - done > _FEW_PAGES:  # somebody reads, and if he left now all would wait for the copying
                return False
            with self._write_lock:
                return self._cut_log()
        except (sqlite3.Error, Corrupt, Unavailable):
            return False

    def _cut_log(self) -> bool:
        """Do that while all writers wait, who are held off by the caller."""
        try:
            self._set_patience(_PATIENCE_WITH_READERS)
            busy: int = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            self._set_patience(_PATIENCE)
        return not busy

    def _set_patience(self, seconds: float) -> None:
        self._writer.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}").fetchall()

    def scrub(self) -> bool:
        """Leave nothing in the file that is no row of a table, and nothing in its log; tell whether that was possible.

        It is not while somebody reads an older state; then the file is scrubbed and its log is not. All writers wait
        meanwhile, seconds for each gigabyte.
        """
        with self._write_lock:
            try:
                self._writer.execute("VACUUM")
                return self._cut_log()
            except sqlite3.OperationalError as error:
                raise Unavailable(
                    f"can't write {self.path} anew: {error}",
                    hint="that takes as much space as it has; free some and start the server again",
                ) from error

    def copy_to(self, path: Path) -> bool:
        """Write the whole database, as it is at this moment, to a new file; writers go on meanwhile.

        Returns whether it is sound; of one that is damaged every page is copied as it is.
        """
        connection = self._connect()
        try:
            connection.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.DatabaseError as error:
            path.unlink(missing_ok=True)
            if error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
                raise Unavailable(
                    f"can't copy {self.path} to {path}: {error}", hint="look at the disk's space and health"
                ) from error
            with contextlib.closing(sqlite3.connect(path)) as copy:
                connection.backup(copy)
            return False
        finally:
            connection.close()
        return True

    def _pragma(self, name: str) -> int:
        value: int = self._writer.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    def close(self) -> None:
        """Close every connection; whoever waits for a change gets Closed."""
        self.changes.close()
        with self._write_lock:
            while self._pool:
                self._pool.pop().close()
            self._writer.close()


def _make_private(path: Path) -> None:
    """Let nobody but the server's user read the database: it holds secrets. Its log is made with the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        if each.exists():
            each.chmod(0o600)
