"""Read files and folders of this machine, for whoever puts them: the client that sends them, or the server itself.

One module for both, so that a folder means the same files whichever way it goes. Links are followed, circles are
not. What is neither file nor folder is refused by name, because reading a pipe may never end. A file is read as
long as it was when it was opened: one that grows meanwhile (a log, or a pack of the very server that is being put
to) has an end, too.

Read next: pachlet/client/put_file.py, pachlet/api/local_source.py.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from pachlet.errors import Refused

BLOCK = 4 << 20
_UNSIZED = 64 << 10


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


def read_blocks(path: str) -> Iterator[bytes]:
    """Yield the bytes of a file in blocks of at most 4 MiB; of an empty one, nothing.

    Raises:
        Refused: it can't be read.
    """
    try:
        # Not to wait, should it have become a pipe since somebody looked.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            left = os.fstat(handle).st_size or None  # the kernel's own files have no size
            while left is None or left > 0:
                block = os.read(handle, _UNSIZED if left is None else min(left, BLOCK))
                if not block:
                    return
                yield block
                left = None if left is None else left - len(block)
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_read(path, error) from None


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
