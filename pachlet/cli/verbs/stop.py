"""stop: end the server of a data directory, and wait until it has ended.

Read next: serve.py, pachlet/client/running.py (how the server is found).
"""

from __future__ import annotations

import os
import select
import signal
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from pachlet.cli.session import Session
from pachlet.cli.verbs.serve import add_data_dir
from pachlet.client.running import find_server
from pachlet.errors import PachletError

_PATIENCE = 60.0  # seconds; a server lets running datums go, it does not wait for them
_SILENCE = 3.0  # seconds until it is said what is waited for
WAITING = "waiting for the server (process {}) to end: it finishes what it is writing or building"
"""What is said then; it names the process."""


def stop_arguments(parser: ArgumentParser) -> None:
    add_data_dir(parser)


def stop(session: Session, arguments: Namespace) -> None:
    if stop_server(arguments.data_dir, session.say):
        session.say("pachlet has stopped")
    else:
        session.say(f"no server runs on {arguments.data_dir}")


def stop_server(
    data_dir: Path, say: Callable[[str], None] = lambda line: None, silence: float = _SILENCE
) -> bool:
    """End the server of a data directory; return whether there was one. If that takes a while, `say` gets a line."""
    running = find_server(data_dir)
    if running is None:
        return False
    process = running.process
    os.kill(process, signal.SIGTERM)
    if _wait_for_end(process, silence):
        return True
    say(WAITING.format(process))
    if not _wait_for_end(process, _PATIENCE):
        raise PachletError(
            f"the server (process {process}) has not stopped yet", hint="wait, or `kill -9` it"
        )
    return True


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
