"""stop: end the server of a data directory, and wait until it has ended.

The server leaves its process id and address in server.json. A process is ended only if a server answers at
that address, since the id may belong to another program by now.

Read next: serve.py.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from pachlet.cli.session import Session
from pachlet.cli.verbs.serve import add_data_dir
from pachlet.client import cluster
from pachlet.client.connection import Connection
from pachlet.errors import PachletError

_PATIENCE = 60.0  # seconds; a server lets running datums go, it does not wait for them


def stop_arguments(parser: ArgumentParser) -> None:
    add_data_dir(parser)


def stop(session: Session, arguments: Namespace) -> None:
    if stop_server(arguments.data_dir):
        session.say("pachlet has stopped")
    else:
        session.say(f"no server runs on {arguments.data_dir}")


def stop_server(data_dir: Path) -> bool:
    """End the server of a data directory; return whether there was one."""
    running = _running(data_dir / "server.json")
    if running is None:
        return False
    process, address = running
    with Connection(address) as connection:
        try:
            cluster.is_serving(connection)
        except PachletError:
            raise PachletError(
                f"process {process} should be the server of {data_dir}, but nothing answers at {address}",
                hint=f"if it is a server that hangs, `kill {process}`",
            ) from None
    os.kill(process, signal.SIGTERM)
    if not _wait_for_end(process, _PATIENCE):
        raise PachletError(
            f"the server (process {process}) has not stopped yet", hint="wait, or `kill -9` it"
        )
    return True


def _running(record: Path) -> tuple[int, str] | None:
    """Return the process and address that the server left behind; None if that process is gone."""
    try:
        noted = json.loads(record.read_text())
        process, address = int(noted["pid"]), str(noted["address"])
        os.kill(process, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except (ValueError, KeyError, TypeError):
        raise PachletError(
            f"{record} is damaged", hint="find the server with `ps`, end it, remove the file"
        ) from None
    except PermissionError:
        raise PachletError(f"the server that {record} names belongs to another user") from None
    return process, address


def _wait_for_end(process: int, seconds: float) -> bool:
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    except (AttributeError, OSError):  # no pidfd on this system: look now and then
        return _poll_for_end(process, seconds)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _poll_for_end(process: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
