"""Bring a database of an older format up to date.

For each format there is a step in `migrations/`, SQL in a file with the two numbers in its name (one to two and so
on), that makes of one format the next.
All steps run in one transaction together with the new format's number: a server that is killed in an upgrade
finds the old format again. There is no way back but a backup.

Read next: connect.py (when it happens), tests/formats (data directories of every format).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from pachlet.errors import Corrupt

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: sqlite3.Connection, found: int, wanted: int, migrations: Path = MIGRATIONS) -> None:
    """Run the steps from one format to another.

    Raises:
        Corrupt: the database has rows that refer to nothing, before or after.
    """
    steps = [(migrations / f"{version}_to_{version + 1}.sql").read_text() for version in range(found, wanted)]
    # Tables are made anew under their old names; references are checked at the end instead.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.executescript("BEGIN IMMEDIATE;" + ";".join(steps))
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise Corrupt(
                f"the database can't be upgraded from format {found}: it has rows that refer to nothing"
            )
        connection.execute(f"PRAGMA user_version = {wanted:d}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA foreign_keys = ON")
