"""Notice that a caller has gone away, above all in the middle of what he sends.

gRPC tells a server of a stream of requests that broke off as it tells of one that ended, and only a moment later
that the call was cancelled. Half of what somebody meant to write must not count as all of it, so that moment is
waited for, and we look again just before anything is made visible.

Read next: file_service.py (who asks).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pachlet.api.handlers import Context
from pachlet.metadb.changes import Closed

_TOLD_WITHIN = 0.002  # seconds; both are in the same queue, and only our own threads are between them


def check_whole(context: Context) -> None:
    """Raise Closed if the stream of requests that seems to have ended broke off."""
    threading.Event().wait(_TOLD_WITHIN)
    checker(context)()


def checker(context: Context) -> Callable[[], None]:
    """Return a function that raises Closed once the caller has gone away."""

    def check() -> None:
        if not context.is_active():
            raise Closed

    return check
