"""Put files of the server's own machine, for a client that has proved that it could read them itself.

The URL is `file:///path`, percent-encoded. With `?replace` each file of a folder replaces the one at its path;
without, it is appended to. No URL is looked at before the proof.

Read next: nonces.py (the proof), pachlet/local_files.py (which files a folder means).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable
from urllib.parse import unquote_to_bytes, urlsplit

from pachlet.api.nonces import Transfer
from pachlet.errors import InvalidArgument, Refused
from pachlet.local_files import Blocks, files_below, read_small
from pachlet.pfs.uploads import Upload
from pachlet.storage.content import ONE_CHUNK

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
    write = upload.replace if query else upload.add

    def put(path: str, source: _Counted) -> None:
        write(path, source, tag)
        transfer.files += 1

    if recursive and not os.path.isfile(source):
        folder = posixpath.join("/", path, "")
        for below, each in files_below(source):
            check()
            data = read_small(each, ONE_CHUNK)
            if data is None:
                put(folder + below, _Counted(each, transfer, check))
            else:
                upload.put_small(folder + below, data, replaces=bool(query), tag=tag)
                transfer.files += 1
                transfer.bytes += len(data)
    elif os.path.isdir(source):
        raise Refused(f"{source} is a folder", hint="add -r to put all that is in it")
    else:
        put(path, _Counted(source, transfer, check))


class _Counted(Blocks):
    """A file whose bytes are counted, and that is read no further when nobody waits for it any more."""

    def __init__(self, path: str, transfer: Transfer, check: Callable[[], None]) -> None:
        super().__init__(path, _BLOCK)
        self._transfer, self._check = transfer, check

    def __next__(self) -> bytes:
        self._check()
        block = super().__next__()
        self._transfer.bytes += len(block)
        return block

    def read_into(self, place: memoryview) -> int:
        """Read the next bytes; return how many, 0 only at the end."""
        self._check()
        count = super().read_into(place)
        self._transfer.bytes += count
        return count
