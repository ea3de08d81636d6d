"""Show a server on this machine that we are its user, so that it reads and writes our files itself.

Bytes that need not travel are the fastest. The server names a file that only its user can read; we read it and
prove that we know what is in it. A server could name any file, so nothing is read but what looks like a nonce and
is ours alone, and what was read is never sent. Whoever is elsewhere, another user or no pachlet gets the bytes
streamed, without a word.

Read next: put_file.py, get_file.py, pachlet/place.py.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, quote_from_bytes

from pachlet.client.connection import Connection
from pachlet.errors import PachletError
from pachlet.place import (
    PROOF_KEY,
    SECRET_SIZE,
    current_umask,
    describe_place,
    is_nonce_name,
    is_secret,
    prove,
)

SERVICE = "pachlet.v1.LocalFiles"
_TIMEOUT = 5.0  # seconds; a server that takes longer to write 64 bytes is not worth waiting for

Advance = Callable[[int], None]


class Pass(NamedTuple):
    """What lets one call to the server name files of this machine."""

    id: str
    metadata: tuple[tuple[str, str], ...]
    makes_files_as_we_do: bool


def ask_for_pass(connection: Connection) -> Pass | None:
    """Prove who we are; None if the server is not in our place, or no pachlet."""
    if not connection.address.is_local:
        return None
    try:
        answer = connection.call(SERVICE, "Challenge", {}, timeout=_TIMEOUT)
    except PachletError:
        return None  # if there is no server at all, the call itself will say so
    # The proof is for one address. Behind a tunnel, or by a name like localhost, the server's is another one.
    if answer.place != describe_place() or answer.address != str(connection.address):
        return None
    secret = _read_nonce(answer.id, Path(answer.path))
    if secret is None:
        return None
    proof = f"{answer.id}:{prove(answer.id, secret, str(connection.address))}"
    return Pass(answer.id, ((PROOF_KEY, proof),), answer.umask == current_umask())


def source_url(path: Path, *, replace: bool = False) -> str:
    """Return the URL of something to put; with `replace` each file of a folder replaces the one at its path."""
    return _url(os.path.realpath(path)) + ("?replace" if replace else "")


def target_url(path: Path, prefix: str = "") -> str:
    """Return the URL of a place to write to; `prefix` is left out of files' paths."""
    # The last part may be a link, which is to be replaced rather than followed.
    real = os.path.join(os.path.realpath(path.parent), path.name)
    return _url(real) + (f"?prefix={quote(prefix)}" if prefix else "")


def outcome(connection: Connection, way: Pass) -> tuple[int, int]:
    """Return how many files and bytes a call that is over has read or written."""
    files = size = 0
    for answer in connection.call(SERVICE, "Watch", {"id": way.id}):
        files, size = answer.files, answer.bytes
    return files, size


@contextmanager
def watched(connection: Connection, way: Pass, advance: Advance | None) -> Iterator[None]:
    """Tell `advance` what the server does with our files during the block."""
    if advance is None:
        yield
        return
    watcher = threading.Thread(target=_watch, args=(connection, way, advance), daemon=True)
    watcher.start()
    yield
    # It ends with the last byte. A transfer that failed may never have begun, and then there is no end to wait for.
    watcher.join(timeout=_TIMEOUT)


def _watch(connection: Connection, way: Pass, advance: Advance) -> None:
    told = 0
    try:
        for answer in connection.call(SERVICE, "Watch", {"id": way.id}):
            advance(answer.bytes - told)
            told = answer.bytes
    except PachletError:
        return  # the call itself fails with the same, and is what counts


def _read_nonce(id: str, path: Path) -> bytes | None:
    if not is_nonce_name(id, path.name):
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != 0o600:
            return None
        if found.st_uid != os.geteuid() or found.st_size != SECRET_SIZE:
            return None
        secret = os.read(handle, SECRET_SIZE)
    finally:
        os.close(handle)
    return secret if is_secret(secret) else None


def _url(path: str) -> str:
    return "file://" + quote_from_bytes(os.fsencode(path))
