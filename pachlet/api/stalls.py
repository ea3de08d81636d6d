"""Give up a stream whose client has stopped reading it, where others wait for its end.

gRPC hands over an answer when there is room for it, and without end waits for that: a client that was suspended in
the middle of a backup would keep the garbage collector out for as long as it is. So the time between two answers that
the client takes is bounded.

Read next: storage_service.py (which streams).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import TypeVar

from pachlet.api.handlers import Context

log = logging.getLogger(__name__)

PATIENCE = 300.0  # seconds; it takes up to twice as long to be noticed

Answer = TypeVar("Answer")


def unless_stalled(context: Context, what: str, answers: Iterator[Answer]) -> Iterator[Answer]:
    """Yield the answers, and cancel the call when the client leaves one lying for longer than `PATIENCE`."""
    ended = threading.Event()
    given = taken = 0

    def watch() -> None:
        lying = 0
        while not ended.wait(PATIENCE):
            if lying == given > taken:
                log.warning("%s was given up: its client reads nothing any more", what)
                context.cancel()
                return
            lying = given

    threading.Thread(target=watch, name="stalls", daemon=True).start()
    try:
        for each in answers:
            given += 1
            yield each
            taken = given
    finally:
        ended.set()
