"""What pipelines have made, byte for byte, so that two servers' outputs can be compared.

Forecasts, tables and pages name the commits that they were made from, which are other ones on each server; words stand
in their place here. All else is as it is.

Read next: test_whole_company.py, ../soak/test_kills.py.
"""

from __future__ import annotations

import io
import re
import sqlite3
import tarfile
from collections.abc import Iterable
from contextlib import closing

from pachlet.client import names
from pachlet.client.connection import Connection

_ID = re.compile(rb"\b[0-9a-f]{32}\b")
_NAMED = b"COMMIT"


def contents(connection: Connection, repos: Iterable[str]) -> dict[str, bytes]:
    """The files of the newest commits of repos, by `repo:/path`."""
    found = {}
    for repo in repos:
        request = {"file": names.file(connection.project, f"{repo}@master:/")}
        pieces = connection.call("pfs_v2.API", "GetFileTAR", request)
        with tarfile.open(fileobj=io.BytesIO(b"".join(each.value for each in pieces))) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is not None:
                    found[f"{repo}:/{member.name.lstrip('/')}"] = content.read()
    return found


def made(connection: Connection, pipelines: Iterable[str]) -> dict[str, bytes]:
    """What `contents` returns of outputs, without the ids of commits; of a database what is in it."""
    return {
        path: _ID.sub(_NAMED, dumped(content) if path.endswith(".db") else content)
        for path, content in contents(connection, pipelines).items()
    }


def dumped(database: bytes) -> bytes:
    """The statements that would make a SQLite database."""
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.deserialize(database)
        return "\n".join(opened.iterdump()).encode()
