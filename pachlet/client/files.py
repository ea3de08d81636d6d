"""Inspect, list, walk, glob, compare, copy and delete files.

A file is named `repo@branch:/path`. All reads go to one commit, so they see one state of the repo whatever
happens meanwhile.

Read next: put_file.py and get_file.py (bytes in and out).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pachlet.client import names
from pachlet.client.authorship import header
from pachlet.client.connection import Connection, Message, Request
from pachlet.errors import NotFound, Unimplemented

SERVICE = "pfs_v2.API"
LISTING = "pachlet.v1.Listing"


def inspect_file(connection: Connection, file: str) -> Message:
    """Return a FileInfo of a file or folder."""
    return connection.call(SERVICE, "InspectFile", {"file": names.file(connection.project, file)})


def find_file(connection: Connection, file: str) -> Message | None:
    """Return a FileInfo, or None where the file, its commit or its repo is missing."""
    try:
        return inspect_file(connection, file)
    except NotFound:
        return None


def list_file(connection: Connection, folder: str) -> Iterator[Message]:
    """Yield a FileInfo for each child of a folder, or for the file itself."""
    yield from _listed(connection, "ListFile", {"file": names.file(connection.project, folder)})


def walk_file(connection: Connection, folder: str) -> Iterator[Message]:
    """Yield a FileInfo for the folder and everything below it, in the order of paths."""
    yield from _listed(connection, "WalkFile", {"file": names.file(connection.project, folder)})


def glob_file(connection: Connection, pattern: str) -> Iterator[Message]:
    """Yield a FileInfo for each file and folder that `repo@commit:pattern` matches."""
    named = names.file(connection.project, pattern)
    request = {"commit": named["commit"], "pattern": named["path"]}
    yield from _listed(connection, "GlobFile", request)


def diff_file(connection: Connection, new: str, old: str = "", *, shallow: bool = False) -> Iterator[Message]:
    """Yield a DiffFileResponse for each file that differs; without `old`, from the parent commit."""
    request = {"new_file": names.file(connection.project, new), "shallow": shallow}
    if old:
        request["old_file"] = names.file(connection.project, old)
    yield from connection.call(SERVICE, "DiffFile", request)


def copy_file(connection: Connection, source: str, destination: str, *, append: bool = False) -> None:
    """Copy a file or folder within the server; no bytes travel."""
    found = inspect_file(connection, source)  # the server would copy nothing in silence
    target = names.file(connection.project, destination)
    copied = {"src": found.file, "dst": target["path"] or found.file.path, "append": append}
    messages = [{"set_commit": target["commit"]}, {"copy_file": copied}]
    connection.send(SERVICE, "ModifyFile", messages, metadata=header())


def delete_file(
    connection: Connection, commit: str, paths: Sequence[str], *, recursive: bool = False
) -> None:
    """Delete files of one commit or branch, all of them or none; with `recursive`, folders too."""
    messages = [{"set_commit": names.commit(connection.project, commit)}]
    for path in paths:
        messages.append({"delete_file": {"path": path}})
        if recursive and not path.endswith("/"):
            messages.append({"delete_file": {"path": f"{path}/"}})
    connection.send(SERVICE, "ModifyFile", messages, metadata=header())


def _listed(connection: Connection, method: str, request: Request) -> Iterator[Message]:
    """Yield what a listing answers; where the server is pachlet many files to a message, which is far faster."""
    try:
        for answer in connection.call(LISTING, method, request):
            yield from answer.infos
    except Unimplemented:  # Pachyderm's; it says so before the first file
        yield from connection.call(SERVICE, method, request)
