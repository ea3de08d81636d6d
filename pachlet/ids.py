"""Make and recognise the ids of the engine.

Commit, job and transaction ids are one kind: 32 hex digits of a version 4 UUID (clients test for the `4` in the
13th place). Datum ids are 64 hex digits; they are hashes, not made here.

Read next: pfs/commits.py (who asks for ids).
"""

from __future__ import annotations

import re

_COMMIT_ID = re.compile(r"[0-9a-f]{12}4[0-9a-f]{19}")


def new_id() -> str:
    """Return a fresh commit, job or transaction id."""
    import uuid  # which takes a short command longer than all else here, and only servers make ids

    return uuid.uuid4().hex


def is_commit_id(text: str) -> bool:
    """Tell whether `text` has the shape of a commit id (no branch may have it)."""
    return _COMMIT_ID.fullmatch(text) is not None
