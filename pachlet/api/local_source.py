"""Put files of the server's own machine, for a client that has proved that it could read them itself.

The URL is `file:///path`, percent-encoded. With `?replace` each file of a folder replaces the one at its path;
without, it is appended to. No URL is looked at before the proof.

Read next: nonces.py (the proof), pachlet/local_files.py (which files a folder means).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes, urlsplit

from pachlet.api.nonces import Transfer
from pachlet.errors import InvalidArgument, Refused
from pachlet.local_files import files_below, read_blocks
from pachlet.pfs.uploads import Upload

SCHEME = "file:"
REPLACE = "replace"
_BLOCK = 16 << 20  # of a file that is cut: the larger, the less of it is copied


def local_path(url: str) -> tuple[str, str]:
    """Return the path that a file:// URL names, and its query; raise InvalidArgument."""
    try:
        parts = urlsplit(url, allow_fragments=False)
        host = parts.netloc
    except ValueError:
        host = url
    if host not in ("", "localhost"):
        raise InvalidArgument(f"{url} names a file of another machine", hint="write file:///path")
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if not path.startswith("/") or "\0" in path:
        raise InvalidArgument(f"{url} names no absolute path", hint="write file:///path")
    return path, parts.query


def put_local(
    upload: Upload,
    path: str,
    url: str,
    transfer: Transfer,
    check: Callable[[], None],
    *,
    recursive: bool,
    tag: str,
) -> None:
    """Put a file, or with `recursive` the files of a folder; `check` raises when nobody waits for it any more."""
    source, query = local_path(url)
    if query not in ("", REPLACE):
        raise InvalidArgument(f"{url} asks for {query}", hint=f"file:// URLs know ?{REPLACE} only")
    put = upload.replace if query else upload.add
    if recursive and not os.path.isfile(source):
        folder = posixpath.join("/", path, "")
        for below, each in files_below(source):
            put(folder + below, _counted(each, transfer, check), tag)
    elif os.path.isdir(source):
        raise Refused(f"{source} is a folder", hint="add -r to put all that is in it")
    else:
        put(path, _counted(source, transfer, check), tag)


def _counted(path: str, transfer: Transfer, check: Callable[[], None]) -> Iterator[bytes]:
    for block in read_blocks(path, _BLOCK):
        transfer.bytes += len(block)
        yield block
        check()
    transfer.files += 1
