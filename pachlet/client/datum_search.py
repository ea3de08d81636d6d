"""Find a datum by what a user knows of it: its id, the beginning of that, or the path of one of its files.

Read next: why.py, ../remote/datum.py and ../cli/verbs/datum.py (who ask), datums.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from pachlet.client import names
from pachlet.client.connection import Connection, Message
from pachlet.client.datums import inspect_datum
from pachlet.client.files import find_file
from pachlet.errors import NotFound, Usage

_ID = re.compile(r"[0-9a-f]{64}")
_PREFIX = re.compile(r"[0-9a-f]{1,63}")
_NAMED = 5  # of several datums that are meant


def datum_id(connection: Connection, job: str, wanted: str) -> str:
    """Return the id of the one datum of a job that `wanted` means; a whole id is taken as it is, without asking.

    Raises:
        NotFound: the job has no such datum.
        Usage: several are meant.
    """
    if _ID.fullmatch(wanted):
        return wanted
    found = find_datum(connection, job, wanted)
    if found is None:
        named = names.job(connection.project, job)
        raise no_such_datum(f"{named['pipeline']['project']['name']}/{job.rpartition('/')[2]}", wanted)
    return str(found.datum.id)


def no_such_datum(job: str, wanted: str) -> NotFound:
    """Return the error that says so, with where to look."""
    return NotFound(
        f"{job} has no datum with {wanted}", hint=f"`pachctl list datum {job}` shows which there are"
    )


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
    if _PREFIX.fullmatch(wanted):
        return _the_one(_by_prefix(connection, job, wanted), job, wanted)
    every = connection.call("pps_v2.API", "ListDatum", {"job": names.job(connection.project, job)})
    return _the_one(_by_path(connection, every, wanted), job, wanted)


def find_datum_among(
    connection: Connection, infos: Iterable[Message], whose: str, wanted: str
) -> Message | None:
    """Return the one of some DatumInfos that `wanted` means, or None; they are of no job yet.

    Raises:
        Usage: it means several.
    """
    if _ID.fullmatch(wanted) or _PREFIX.fullmatch(wanted):
        return _the_one((each for each in infos if each.datum.id.startswith(wanted)), whose, wanted)
    return _the_one(_by_path(connection, infos, wanted), whose, wanted)


def _the_one(matching: Iterator[Message], whose: str, wanted: str) -> Message | None:
    found = list(islice(matching, _NAMED + 1))
    if len(found) > 1:
        shown = ", ".join(each.datum.id[:12] for each in found[:_NAMED])
        more = " and more" if len(found) > _NAMED else ""
        raise Usage(f"several datums of {whose} have {wanted}: {shown}{more}", hint="name one by its id")
    return found[0] if found else None


def _by_prefix(connection: Connection, job: str, prefix: str) -> Iterator[Message]:
    # Ids are sorted as texts, and what begins with a text comes after it.
    request = {"job": names.job(connection.project, job), "paginationMarker": prefix}
    for info in connection.call("pps_v2.API", "ListDatum", request):
        if not info.datum.id.startswith(prefix):
            return
        yield info


def _by_path(connection: Connection, infos: Iterable[Message], wanted: str) -> Iterator[Message]:
    """Yield those with a file of that path; if there are none, those with a directory that it is in."""
    path = "/" + wanted.strip("/")
    around: list[Message] = []
    is_found = False
    held: dict[str, bool] = {}

    def holds(folder: Message) -> bool:
        """Tell whether a datum's folder has the file; that its path would be in there does not tell."""
        if folder.path[-1:] != "/" or not f"{path}/".startswith(folder.path):
            return False
        file = f"{names.show_commit(folder.commit)}:{path}"
        if file not in held:
            held[file] = find_file(connection, file) is not None
        return held[file]

    for info in infos:
        files = [each.file.path for each in info.data]
        if path in files or f"{path}/" in files:
            is_found = True
            yield info
        elif len(around) <= _NAMED and any(holds(each.file) for each in info.data):
            around.append(info)
    if not is_found:
        yield from around
