"""Nonces: find out whether a caller may do with files what the server may.

Anybody on the machine can connect to the server, so a path in a request proves nothing: the server would read
for them what only its user may read. So a caller who wants it to has to show that he is that user. The server
writes a secret to a new file that only its user can read, and the caller proves that he knows it. Root can, too;
but root can read everything. The server never opens what somebody names before that is proved.

A proof is for one call, of one server at one address: who sits between client and server, and hands the challenge
on, gets a proof for his own address, which the server refuses. It does not tell the secret, and the file goes with
the call. Where file modes are not
kept (some mounted file systems) there are no challenges.

Read next: local_service.py (the RPCs), pachlet/place.py.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import shutil
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from pachlet.errors import FailedPrecondition, Refused
from pachlet.place import SECRET_SIZE, nonce_name, prove

_MOST = 64  # challenges that are remembered; the oldest goes for a new one
_LOOPBACK = re.compile(r"ipv4:127\.|ipv6:(\[|%5B)::1(\]|%5D):|ipv6:(\[|%5B)::ffff:127\.|unix:")
_HINT = "leave out file:// to have the client send the bytes"


@dataclass
class Transfer:
    """The call of one challenge, and how far it has come."""

    secret: bytes
    is_spent: bool = False
    files: int = 0
    bytes: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()


class Nonces:
    """The challenges of one server; safe from any thread."""

    def __init__(self, directory: Path) -> None:
        self.address = ""
        """Where the server listens, once it does; a proof for any other address is none."""
        self._directory = directory
        self._lock = threading.Lock()
        self._transfers: OrderedDict[str, Transfer] = OrderedDict()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)

    def issue(self, peer: str) -> tuple[str, Path]:
        """Write a nonce; return the challenge's id and the file.

        Raises:
            FailedPrecondition: the caller is elsewhere, or the file system lets others read the file.
        """
        if not _is_loopback(peer):
            raise FailedPrecondition("only a client on the server's machine may have it read files")
        id, secret = secrets.token_hex(16), secrets.token_hex(SECRET_SIZE // 2).encode()
        path = self._directory / nonce_name(id)
        _write_private(path, secret)
        with self._lock:
            self._transfers[id] = Transfer(secret)
            oldest = self._transfers.popitem(last=False) if len(self._transfers) > _MOST else None
        if oldest is not None:
            self._end(*oldest)
        return id, path

    def redeem(self, proof: str, peer: str) -> Transfer:
        """Return the transfer for a proof, which is spent with this, right or wrong.

        Raises:
            Refused: it is no proof.
        """
        id, _, shown = proof.partition(":")
        with self._lock:
            transfer = self._transfers.get(id)
            is_fresh = transfer is not None and not transfer.is_spent
            if transfer is not None:
                transfer.is_spent = True
        if transfer is not None and is_fresh:
            (self._directory / nonce_name(id)).unlink(missing_ok=True)
            wanted = prove(id, transfer.secret, self.address)
            if self.address and hmac.compare_digest(wanted.encode(), shown.encode()) and _is_loopback(peer):
                return transfer
            transfer.ended.set()
        raise refusal()

    def find(self, id: str) -> Transfer | None:
        """Return the transfer of a challenge, to watch it."""
        with self._lock:
            return self._transfers.get(id)

    def _end(self, id: str, transfer: Transfer) -> None:
        if not transfer.is_spent:
            transfer.ended.set()
        (self._directory / nonce_name(id)).unlink(missing_ok=True)


def _write_private(path: Path, secret: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FailedPrecondition(f"can't write {path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as out:
        os.fchmod(handle, 0o600)  # takes away what an access control list of the folder may grant
        found = os.fstat(handle)
        if stat.S_IMODE(found.st_mode) == 0o600 and found.st_uid == os.geteuid():
            out.write(secret)
            return
    path.unlink(missing_ok=True)
    raise FailedPrecondition(f"the file system of {path.parent} does not keep files private")


def refusal() -> Refused:
    """Return the error for who has proved nothing."""
    return Refused("the server reads and writes files of its machine only for its own user", hint=_HINT)


def _is_loopback(peer: str) -> bool:
    return _LOOPBACK.match(peer) is not None
