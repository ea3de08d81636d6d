"""A PostgreSQL for tests: of the binaries that are installed, in a folder of its own, by a user without rights.

Where none is installed, what needs it is skipped and says so; with POSTGRES_REQUIRED set, as `.ci/run` does once it has
installed it, it fails instead.

Read next: acceptance/test_egress_sql.py.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pg8000.native
import pytest

from tests.other_user import run_as

PASSWORD = "a pass'word"


class Postgres:
    """A server that runs, with the user `postgres`."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def connect(self) -> Any:
        """Return a connection that commits each statement, to be closed by the caller."""
        return pg8000.native.Connection(
            "postgres", host="127.0.0.1", port=self.port, database="postgres", password=PASSWORD
        )

    def run(self, statement: str) -> list[Any]:
        """Run one statement; return its rows."""
        connection = self.connect()
        try:
            return list(connection.run(statement) or [])
        finally:
            connection.close()


@contextmanager
def postgres(port: int = 0) -> Iterator[Postgres]:
    """Start a server on a port (0: any), and stop it at the end of the block; skip the test where there is none."""
    binaries = _binaries()
    if binaries is None:
        reason = "no PostgreSQL is installed (Debian: apt-get install postgresql)"
        if os.environ.get("POSTGRES_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="pachlet-postgres-"))
    try:
        folder.chmod(0o755)
        user = _user(folder)
        word = folder / "word"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        made = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "--auth=scram-sha-256"]
        more = ["--pwfile", word, "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"]
        subprocess.run([*user, *made, *more], check=True, capture_output=True, cwd="/")
        with _running(binaries, folder, user, port) as port:
            yield Postgres(port, folder)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(binaries: Path, folder: Path, user: list[str], port: int) -> Iterator[int]:
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    settings = {
        "listen_addresses": "127.0.0.1",
        "fsync": "off",
        "unix_socket_directories": str(folder / "data"),
    }
    options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
    command = [*user, binaries / "postgres", "-D", folder / "data", "-p", str(port), *options]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd="/")
    assert server.stderr is not None
    said = []
    for line in server.stderr:
        said.append(line)
        if "ready to accept connections" in line:
            break
    else:
        pytest.fail(f"PostgreSQL did not start: {''.join(said)}")
    try:
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    path = shutil.which("initdb") or (found[-1] if found else None)
    return Path(path).parent if path else None


def _user(folder: Path) -> list[str]:
    """Return the words before a command by which another user runs it; PostgreSQL refuses to be root."""
    if os.geteuid():
        return []
    nobody = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, nobody, nobody)
    return run_as(nobody)
