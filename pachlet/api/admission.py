"""Keep threads free for short calls however many wait.

A call holds a thread for as long as it lasts, and some last for ever: who subscribes to commits or follows a log waits
for what may never come. So only so many may wait at a time, and only so many streams be open; one more is refused with
a sentence, which costs nothing, rather than left to hang together with all that comes after it.

Read next: handlers.py (who asks), pachlet/metadb/changes.py (where calls wait).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pachlet.errors import ResourceExhausted

THREADS = 256
MOST_STREAMS = 240
MOST_WAITING = 200


class Admission:
    """Counts the calls that are streams, and those that wait."""

    def __init__(self, *, streams: int = MOST_STREAMS, waiting: int = MOST_WAITING) -> None:
        self._streams = threading.BoundedSemaphore(streams)
        self._waiting = threading.BoundedSemaphore(waiting)
        self._call = threading.local()

    @contextmanager
    def call(self, *, is_stream: bool) -> Iterator[None]:
        """Admit a call for as long as the block runs, in one thread.

        Raises:
            ResourceExhausted: it is a stream, and too many are open.
        """
        if is_stream and not self._streams.acquire(blocking=False):
            raise ResourceExhausted(
                "too many streams are open", hint="close some (watchers, followed logs), or try again later"
            )
        self._call.is_waiting = False
        try:
            yield
        finally:
            if self._call.is_waiting:
                self._waiting.release()
            del self._call.is_waiting
            if is_stream:
                self._streams.release()

    def begin_to_wait(self) -> None:
        """Count the call of this thread, if it is in one, among those that wait, until it ends.

        Raises:
            ResourceExhausted: too many wait.
        """
        if getattr(self._call, "is_waiting", True):
            return
        if not self._waiting.acquire(blocking=False):
            raise ResourceExhausted(
                "too many calls are waiting",
                hint="end some (watchers, followed logs, `wait`), or ask again later",
            )
        self._call.is_waiting = True
