"""Ask a pachlet server about its storage, have it cleaned up, and check any server's storage.

Collecting, disk usage and backups are pachlet's own; a server that does not know them is not pachlet.

Read next: backup.py, wire/proto/pachlet/v1/storage.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from typing import Any

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.errors import Unimplemented

SERVICE = "pachlet.v1.Storage"


def ask(connection: Connection, method: str, request: dict[str, Any]) -> Generator[Message, None, None]:
    """Call a method of pachlet's own service and yield its answers."""
    try:
        yield from connection.call(SERVICE, method, request)
    except Unimplemented:
        raise Unimplemented(
            f"{connection.address} is not a pachlet server", hint="Pachyderm has nothing that does this"
        ) from None


def collect_garbage(
    connection: Connection,
    report: Callable[[Message], None],
    *,
    dry_run: bool,
    grace: timedelta | None,
    slack_percent: int | None,
) -> Message:
    """Collect garbage and return a GarbageReport; `report` gets each Progress."""
    request: dict[str, Any] = {"dry_run": dry_run}
    if grace is not None:
        request["grace"] = grace
    if slack_percent is not None:
        request["slack_percent"] = slack_percent
    for answer in ask(connection, "CollectGarbage", request):
        if answer.WhichOneof("body") == "report":
            return answer.report
        report(answer.progress)
    raise EOFError("the server ended a collection without a report")


def disk_usage(connection: Connection) -> tuple[list[Message], Message]:
    """Return a RepoUsage for each repo, and the DiskTotals."""
    answers = list(ask(connection, "DiskUsage", {}))
    return [each.repo for each in answers[:-1]], answers[-1].totals


def fsck(connection: Connection, *, zombies: bool = False, zombie: str = "") -> Iterator[Message]:
    """Yield an FsckResponse for each fault of any server.

    `zombie` names a pipeline's output commit that should hold nothing of datums that are gone; `zombies` means
    all of them.
    """
    request: dict[str, Any] = {"zombie_all": True} if zombies else {}
    if zombie:
        request = {"zombie_target": names.commit(connection.project, zombie)}
    yield from connection.call("pfs_v2.API", "Fsck", request)


def check_chunks(connection: Connection) -> int:
    """Have a server read every chunk and return how many there are; DATA_LOSS if one is damaged."""
    answer = connection.call("pfs_v2.API", "CheckStorage", {"read_chunk_data": True})
    return int(answer.chunk_object_count)
