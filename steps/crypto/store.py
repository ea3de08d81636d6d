"""Store stage: the company's results as tables, where programs and people look for them.

What STORE says is where they go:

    sqlite (the default)   /company.db, a database in one file of the output: versioned, like everything
    json                   /<table>/rows.jsonl for each table, for an egress into an SQL database
    postgresql://...       into that database, row by row: what is new is added, what is there by its key is replaced

Into a database of yours everything goes in one transaction, and a row that would not change is left alone, so doing it
again does nothing. The database keeps what later commits no longer have. /receipt.json says what was done; it is the
output that a job leaves behind. The password is in STORE_PASSWORD, a secret.

Read next: tables.py (the rows), ../../docs/crypto.md (a spec for each).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pachlet.step import BadInput, main
from steps.crypto.formats import write_json, write_json_lines
from steps.crypto.tables import TABLES, Row, Table, commit_of

RECEIPT = "crypto.receipt/1"
_TYPES = {"text": "TEXT", "number": "DOUBLE PRECISION", "whole": "BIGINT"}


def run(inputs: Path, out: Path) -> None:
    """Store all tables where STORE says."""
    place = os.environ.get("STORE", "sqlite")
    rows = {table.name: list(table.rows(inputs)) for table in TABLES}
    if place == "json":
        for name, found in rows.items():
            write_json_lines(out / name / "rows.jsonl", found)
        return  # an egress takes each folder for a table, so there is no receipt among them: its log is one
    if place == "sqlite":
        done = into_file(out / "company.db", rows)
    elif place.startswith(("postgresql://", "postgres://")):
        done = into_postgres(place, rows)
    else:
        raise BadInput(
            f"STORE is {urlsplit(place).scheme or place!r}; known: sqlite, json, postgresql://USER@HOST/NAME"
        )
    commits = {name: commit_of(name) for name in ("predict", "decide", "score")}
    write_json(out / "receipt.json", {"schema": RECEIPT, "tables": done, "commits": commits})


def into_file(path: Path, rows: Mapping[str, list[Row]]) -> dict[str, Any]:
    """Write a new SQLite file; the same rows are the same bytes."""
    connection = sqlite3.connect(path)
    try:
        for table in TABLES:
            connection.execute(creation(table))
            marks = ", ".join("?" for _ in table.columns)
            values = [[row.get(name) for name in table.columns] for row in rows[table.name]]
            connection.executemany(f"INSERT INTO {table.name} VALUES ({marks})", values)
        connection.commit()
    finally:
        connection.close()
    return {name: {"rows": len(found)} for name, found in rows.items()}


def creation(table: Table) -> str:
    """Return the statement that makes a table where it is not there."""
    columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in table.columns.items())
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({columns}, PRIMARY KEY ({quoted(table.key)}))"


def upsert(table: Table) -> str:
    """Return PostgreSQL's statement that adds a row, or replaces the one with its key where that differs."""
    rest = [name for name in table.columns if name not in table.key]
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in rest)
    old, new = (", ".join(f'{source}."{name}"' for name in rest) for source in (table.name, "excluded"))
    marks = ", ".join(f":{name}" for name in table.columns)
    return (
        f"INSERT INTO {table.name} ({quoted(table.columns)}) VALUES ({marks}) "
        f"ON CONFLICT ({quoted(table.key)}) DO UPDATE SET {changes} WHERE ({old}) IS DISTINCT FROM ({new})"
    )


def quoted(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


def into_postgres(url: str, rows: Mapping[str, list[Row]]) -> dict[str, Any]:
    """Add or replace all rows in one transaction."""
    with connected(url) as connection:
        connection.run("START TRANSACTION")
        for table in TABLES:
            connection.run(creation(table))
            statement = upsert(table)
            for row in rows[table.name]:
                connection.run(statement, **{name: row.get(name) for name in table.columns})
        connection.run("COMMIT")
    # How many rows were new is left out: a receipt is the same whenever the same is stored.
    return {name: {"rows": len(found)} for name, found in rows.items()}


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Connect to a PostgreSQL; what is wrong with it is said in a sentence."""
    import pg8000.native
    from pg8000.exceptions import DatabaseError, InterfaceError

    parts = urlsplit(url)
    if parts.password:
        raise BadInput(
            "STORE must not hold the password: a spec can be read by everybody; use STORE_PASSWORD"
        )
    try:
        connection = pg8000.native.Connection(
            unquote(parts.username or "postgres"),
            host=parts.hostname or "localhost",
            port=parts.port or 5432,
            database=parts.path.strip("/") or None,
            password=os.environ.get("STORE_PASSWORD") or None,
            timeout=30,
        )
        try:
            yield connection
        finally:
            connection.close()
    except (DatabaseError, InterfaceError, OSError) as error:
        said = error.args[0].get("M") if error.args and isinstance(error.args[0], dict) else error
        raise BadInput(f"the database at {parts.hostname}: {said}") from error


if __name__ == "__main__":
    main(run)
