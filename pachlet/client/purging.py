"""Have a pachlet server remove the bytes of files everywhere, and ask what was removed.

Read next: wire/proto/pachlet/v1/storage.proto, pachlet/pfs/purging.py, docs/purge.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from pachlet.client import names
from pachlet.client.authorship import author
from pachlet.client.connection import Connection, Message
from pachlet.client.lineage.asking import trace
from pachlet.client.storage import SERVICE, ask


def purge(
    connection: Connection,
    places: Sequence[str],
    report: Callable[[Message], None],
    *,
    reason: str,
    who: str = "",
    include_shared: bool = False,
    include_logs: bool = False,
    dry_run: bool = False,
) -> Message:
    """Purge files (`repo@commit:/path`) and return a PurgeReport; `report` gets each Progress.

    `who` is whoever runs this, if empty.
    """
    request = {
        "files": [names.file(connection.project, place) for place in places],
        "reason": reason,
        "author": who or author(),
        "include_shared": include_shared,
        "include_logs": include_logs,
        "dry_run": dry_run,
    }
    for answer in ask(connection, "Purge", request):
        if answer.WhichOneof("body") == "report":
            return answer.report
        report(answer.progress)
    raise EOFError("the server ended a purge without a report")


def list_purges(connection: Connection) -> Iterator[Message]:
    """Yield a PurgeInfo for each purge, oldest first."""
    yield from ask(connection, "ListPurges", {})


def lift_purge(connection: Connection, id: str) -> Message:
    """Let the bytes of a purge be stored again; return its PurgeInfo."""
    next(list_purges(connection), None)  # says if this is no pachlet
    return connection.call(SERVICE, "LiftPurge", {"id": id, "author": author()})


def made_of(connection: Connection, places: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return what was made of files, as far as it is none of `known`: it may tell what was in them."""
    seen, found = {*known}, dict[str, None]()
    for place in places:
        graph = trace(connection, place, down=True)
        for file in graph.files[1:]:
            if not file.is_gone and f"{file.project}/{file.repo}:{file.path}" not in seen:
                found[str(file)] = None
    return list(found)
