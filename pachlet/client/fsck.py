"""Have the server check what it stores.

Read next: pachlet/pfs/files.py (what a file is made of).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message


def fsck(
    connection: Connection, *, fix: bool = False, zombie: str = "", zombie_all: bool = False
) -> Iterator[Message]:
    """Yield an FsckResponse for each thing that is wrong, or was and is mended.

    `zombie` names a pipeline's output commit that should hold nothing of datums that are gone; `zombie_all`
    means all of them.
    """
    request: dict[str, Any] = {"fix": fix}
    if zombie:
        request["zombie_target"] = names.commit(connection.project, zombie)
    elif zombie_all:
        request["zombie_all"] = True
    yield from connection.call("pfs_v2.API", "Fsck", request)
