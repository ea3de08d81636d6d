"""Look at the database after every change, in a thread of its own: what keepers of jobs and of processes do.

A keeper keeps nothing in mind but what runs; what is to run, the database says. So no event can be lost, and a restart
needs no recovery.

Read next: scheduler.py, spouts.py (who looks), metadb/changes.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pachlet.errors import NotFound, PachletError
from pachlet.metadb.changes import Changes, Closed

log = logging.getLogger(__name__)
_AGAIN_SECONDS = 5.0
"""After an error it looks again so soon, also if nothing changes."""


def keep_looking(changes: Changes, look: Callable[[], None], keeper: str, rest: float = 0) -> None:
    """Call `look` now and after each change, until the engine stops; the body of a thread.

    It rests `rest` times as long as a look has taken before the next.
    """
    while True:
        seen, patience, began = changes.count, None, time.monotonic()
        try:
            look()
        except NotFound:
            pass  # deleted between two looks at it, which is a change: another look follows
        except Closed:
            return
        except PachletError as error:
            log.error("%s can't go on: %s", keeper, error)
            patience = _AGAIN_SECONDS
        except Exception:
            log.exception("%s met an error; this is a bug of pachlet", keeper)
            patience = _AGAIN_SECONDS
        try:
            if rest:
                changes.rest(rest * (time.monotonic() - began))
            changes.wait(seen, patience)
        except Closed:
            return
