"""Read files and folders of this machine, for whoever puts them: the client that sends them, or the server itself.

One module for both, so that a folder means the same files whichever way it goes. Links are followed, circles are
not. What is neither file nor folder is refused by name, because reading a device or a pipe may never end. A file is
read as long as it was when it was opened: one that grows meanwhile (a log, or a pack of the very server that is being
put to) has an end, too. The kernel's own files don't say how long they are, and some have no end: they are read up to
a limit.

Read next: pachlet/client/put_file.py, pachlet/api/local_source.py.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from pachlet.errors import Refused

BLOCK = 4 << 20
_UNSIZED = 64 << 10
_MOST_UNSIZED = 64 << 20
_NULL = os.makedev(1, 3)

_PIPE_IT = (
    "put what comes out of it, as in `head -c 1M /dev/urandom | pachctl put file REPO@BRANCH:/PATH -f -`"
)


def files_below(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the path below the folder and the path of each file, a folder's files before its folders.

    Raises:
        Refused: something can't be read, or can't be stored under its name.
    """
    todo: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [(folder, "", ())]
    while todo:
        here, below, above = todo.pop()
        try:
            found = os.stat(here)
            with os.scandir(here) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            raise cannot_read(here, error) from None
        identity = (found.st_dev, found.st_ino)
        if identity in above:
            continue
        folders = []
        for entry in entries:
            if not entry.name.isascii():
                check_name(entry.path)
            if _is_folder(entry):
                folders.append((entry.path, f"{below}{entry.name}/", (*above, identity)))
            else:
                yield below + entry.name, entry.path
        todo += reversed(folders)


def read_blocks(path: str, block_size: int = BLOCK) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of at most so many bytes; of an empty one, nothing.

    Raises:
        Refused: it can't be read.
    """
    try:
        # Not to wait, should it have become a pipe since somebody looked.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            refuse_endless(path, found)
            left = found.st_size
            if not left:  # the kernel's own files have no size
                left, block_size = _MOST_UNSIZED + 1, _UNSIZED
            while left > 0:
                block = os.read(handle, min(left, block_size))
                if not block:
                    return
                left -= len(block)
                if block_size == _UNSIZED and left <= 0:
                    raise Refused(f"cannot read {path}: it seems to have no end", hint=_PIPE_IT)
                yield block
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_read(path, error) from None


def refuse_endless(path: str, found: os.stat_result) -> None:
    """Refuse what is no regular file and may never end; nothing, /dev/null, is empty."""
    kind = found.st_mode
    if stat.S_ISREG(kind) or stat.S_ISDIR(kind) or (stat.S_ISCHR(kind) and found.st_rdev == _NULL):
        return
    what = "a named pipe" if stat.S_ISFIFO(kind) else "a socket" if stat.S_ISSOCK(kind) else "a device"
    raise Refused(f"cannot put {path}: it is {what}, which may never end", hint=_PIPE_IT)


def check_name(path: str) -> None:
    """Refuse a name that is no text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise Refused(f"cannot put {shown}: its name is not UTF-8", hint="give it another name") from None


def cannot_read(path: object, error: OSError) -> Refused:
    """Return the error that names a file which can't be read, and why."""
    return Refused(f"cannot read {path}: {error.strerror or error}")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder; refuse what is not a file either."""
    try:
        if entry.is_file():
            return False
        if entry.is_dir():
            return True
        entry.stat()  # says why, where a link leads nowhere
        raise OSError(errno.EINVAL, "it is neither a file nor a folder")
    except OSError as error:
        raise cannot_read(entry.path, error) from None
