"""Find the server that runs on a data directory, by what it left there.

A note alone proves nothing: after a crash its address may be another server's by now, and its process id another
program's. So the server that answers must have the data directory's own id.

Read next: cluster.py.
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass
from pathlib import Path

from pachlet.client.cluster import inspect_cluster
from pachlet.client.connection import Connection
from pachlet.errors import PachletError


@dataclass(frozen=True)
class Running:
    """A server's process and address."""

    process: int
    address: str


def find_server(data_dir: Path) -> Running | None:
    """Return the server of a data directory; None if there is none.

    Raises:
        PachletError: a process holds the directory, but its note is damaged or it does not answer; or it is not known
            whether one does, because the directory can't be read.
    """
    if not _is_held(data_dir / "lock"):
        return None
    record = data_dir / "server.json"
    try:
        noted = json.loads(record.read_text())
        found, id = Running(int(noted["pid"]), str(noted["address"])), str(noted["deployment_id"])
    except FileNotFoundError:
        return None  # it is just starting or ending
    except (OSError, ValueError, KeyError, TypeError):
        raise PachletError(
            f"{record} is damaged", hint="find the server with `ps`, end it, remove the file"
        ) from None
    with Connection(found.address, timeout=5.0) as connection:
        try:
            return found if inspect_cluster(connection).deployment_id == id else None
        except PachletError:
            raise PachletError(
                f"process {found.process} should be the server of {data_dir}, "
                f"but nothing answers at {found.address}",
                hint=f"if it is a server that hangs, `kill {found.process}`",
            ) from None


def _is_held(lock: Path) -> bool:
    """Tell whether some process holds a lock file, as a server holds that of its data directory."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except PermissionError as error:
        raise PachletError(f"cannot read {lock}: {error.strerror}", hint="see whose it is") from None
    except OSError:
        return False
    return False
