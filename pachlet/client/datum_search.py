"""Find a datum by what a user knows of it: its id, the beginning of that, or the path of one of its files.

Read next: why.py (who asks), datums.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import inspect_datum
from pachlet.errors import NotFound, Usage

_ID = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{1,63}")
_NAMED = 5  # of several datums that are meant


def find_datum(connection: Connection, job: str, wanted: str) -> Message | None:
    """Return the DatumInfo of the one datum of a job that `wanted` means, or None.

    Raises:
        Usage: it means several.
    """
    if _ID.fullmatch(wanted):
        try:
            return inspect_datum(connection, job, wanted)
        except NotFound as error:
            if "datum" not in error.message:
                raise
            return None
    by_id = _PREFIX.fullmatch(wanted) is not None
    matching = _by_prefix(connection, job, wanted) if by_id else _by_path(connection, job, wanted)
    found = list(islice(matching, _NAMED + 1))
    if len(found) > 1:
        shown = ", ".join(each.datum.id[:12] for each in found[:_NAMED])
        more = " and more" if len(found) > _NAMED else ""
        raise Usage(f"several datums of {job} have {wanted}: {shown}{more}", hint="name one by its id")
    return found[0] if found else None


def _by_prefix(connection: Connection, job: str, prefix: str) -> Iterator[Message]:
    # Ids are sorted as texts, and what begins with a text comes after it.
    request = {"job": names.job(connection.project, job), "paginationMarker": prefix}
    for info in connection.call("pps_v2.API", "ListDatum", request):
        if not info.datum.id.startswith(prefix):
            return
        yield info


def _by_path(connection: Connection, job: str, wanted: str) -> Iterator[Message]:
    """Yield the datums with a file of that path; if there are none, those with a directory that it is in."""
    path = "/" + wanted.strip("/")
    around: list[Message] = []
    is_found = False
    for info in connection.call("pps_v2.API", "ListDatum", {"job": names.job(connection.project, job)}):
        files = [each.file.path for each in info.data]
        if path in files or f"{path}/" in files:
            is_found = True
            yield info
        elif len(around) <= _NAMED and any(f"{path}/".startswith(each) for each in files if each[-1:] == "/"):
            around.append(info)
    if not is_found:
        yield from around
