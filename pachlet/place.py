"""Say where a process is, so that client and server can tell whether a path means the same file to both.

Two processes are in one place if they run on one machine, see the same file systems and have the same rights to
files. Only then the server may read and write the client's files by their paths: elsewhere the same path is
another file (a container, a tunnel to another machine), or one that only one of the two may touch.

That they are in one place is said by the client and costs the server nothing to believe; that the client has the
server's rights is what it has to prove, by knowing what is in a file that only the server's user can read.

Read next: pachlet/api/nonces.py (the file), pachlet/client/local_files.py (the proof).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re

PROOF_KEY = "pachlet-local-proof"
"""The metadata of a call that proves its client's rights: the challenge's id, a colon and the proof."""

SECRET_SIZE = 64
_ID = re.compile(r"[0-9a-f]{32}")
_SECRET = re.compile(rb"[0-9a-f]{%d}" % SECRET_SIZE)


def describe_place() -> str:
    """Return what is equal for two processes in one place; a digest, because it tells groups and machines."""
    root = os.stat("/")
    parts = [*os.uname(), root.st_dev, root.st_ino, os.geteuid(), os.getegid(), sorted(os.getgroups())]
    spaces = [f"/proc/self/ns/{kind}" for kind in ("mnt", "net", "user")]
    for source in ("/proc/sys/kernel/random/boot_id", *spaces):
        with contextlib.suppress(OSError):  # no Linux
            parts.append(os.readlink(source) if "/ns/" in source else _text(source))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def is_nonce_name(id: str, name: str) -> bool:
    """Tell whether a file's name is that of a challenge's nonce."""
    return _ID.fullmatch(id) is not None and name == nonce_name(id)


def nonce_name(id: str) -> str:
    """Return the name of the file of a challenge."""
    return f"nonce-{id}"


def is_secret(content: bytes) -> bool:
    """Tell whether a file's content is that of a nonce."""
    return _SECRET.fullmatch(content) is not None


def prove(id: str, secret: bytes, address: str) -> str:
    """Return the proof that one knows a nonce, which doesn't tell it.

    It holds for one server at one address only: `address` is the one that the client has connected to. So a
    program in between that hands the challenge on gets a proof that is worth nothing to the server behind it.
    """
    return hmac.new(secret, f"{id} {address}".encode(), "sha256").hexdigest()


def current_umask() -> int:
    """Return the permissions that files made by this process don't get."""
    with contextlib.suppress(OSError):
        for line in _text("/proc/self/status").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0o077)  # elsewhere it can only be read by setting it
    os.umask(umask)
    return umask


def _text(path: str) -> str:
    with open(path) as stream:
        return stream.read()
