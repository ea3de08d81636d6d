"""Say who makes a commit, from what and why: the user and host, the place of the files, a message.

A pachlet server is told in a header of the call that makes the commit. Any other Pachyderm gets the same as metadata
of the commit, right after: where exactly one commit was made since, so that nobody else's is marked.

Read next: put_file.py, pachlet/pfs/marks.py (the keys), commits.py.
"""

from __future__ import annotations

import functools
import json
import os
import platform
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit, urlunsplit

from pachlet import __version__
from pachlet.client import names
from pachlet.client.cluster import is_pachlet
from pachlet.client.connection import Connection, Message, Metadata, no_text
from pachlet.errors import PachletError, Usage

HEADER = "pachlet-mark-bin"
STREAM = "a stream"
_NAMED = 5  # sources
_LONGEST = 4000  # bytes of a message: headers have to stay small
_LONGEST_SOURCE = 1000


def header(*, source: str = "", message: str = "") -> Metadata:
    """Return the header that tells a pachlet server of the commits that a call makes.

    Raises:
        Usage: the message is too long, or no text.
    """
    try:
        length = len(message.encode())
    except UnicodeEncodeError as error:
        raise no_text(error) from None
    if length > _LONGEST:
        raise Usage(
            f"the message has {length} bytes, more than {_LONGEST}",
            hint="put what is long into a file of the commit",
        )
    said = {**_mark(source), **({"message": message} if message else {})}
    # grpc takes bytes for a header that ends with -bin, which its types don't say.
    return [(HEADER, json.dumps(said).encode())]  # type: ignore[list-item]


def sources(places: Iterable[str]) -> str:
    """Return where files come from: HOST:/path, of several their folder, or URLs without secrets, the first few."""
    given = list(dict.fromkeys(places))
    paths = [each for each in given if os.path.isabs(each)]
    if len(paths) > 1:
        given = [os.path.commonpath(paths), *(each for each in given if each not in paths)]
    shown = list(dict.fromkeys(_place(each) for each in given))
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return (", ".join(shown[:_NAMED]) + more)[:_LONGEST_SOURCE]


def marking(
    connection: Connection, branch: str, act: Callable[[], None], *, source: str = "", message: str = ""
) -> None:
    """Do what makes one commit on a branch, and mark that commit on a server that reads no header."""
    if is_pachlet(connection):
        act()
        return
    before = _head(connection, branch)
    act()
    after = _head(connection, branch)
    parent = after.parent_commit.id if after is not None else ""
    if after is None or (before is not None and parent != before.commit.id) or (before is None and parent):
        return  # others committed, too: which is ours can't be told
    add_marks(connection, f"{branch.partition('@')[0]}@{after.commit.id}", source=source, message=message)


def add_marks(connection: Connection, commit: str, *, source: str = "", message: str = "") -> None:
    """Write author, source and so on into a commit's metadata; a server before 2.11 has none."""
    from pachlet.client.metadata import edit_metadata, pick_commit

    target = {"commit": pick_commit(connection.project, commit)}
    said = {**_mark(source), **({"message": message} if message else {})}
    try:
        edit_metadata(
            connection,
            [{**target, "add_key": {"key": key, "value": value}} for key, value in said.items()],
        )
    except PachletError:
        return  # it says who made it, and is not worth failing what was done


def _mark(source: str) -> dict[str, str]:
    said = {"author": author(), "source": source, "client": f"pachlet {__version__}"}
    return {key: value for key, value in said.items() if value}


@functools.cache
def author() -> str:
    """Return USER@HOST of this process; the user is who it runs as, whatever the environment says."""
    try:
        import pwd

        user = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError, AttributeError):  # no such user in the file, or no such file
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{platform.node()}"


def _place(text: str) -> str:
    if "://" in text:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]  # what is before it may be a key
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    return f"{platform.node()}:{text}"


def _head(connection: Connection, branch: str) -> Message | None:
    try:
        request = {"commit": names.commit(connection.project, branch), "wait": "STARTED"}
        return connection.call("pfs_v2.API", "InspectCommit", request)
    except PachletError:
        return None
