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
# Not to wait, should it have become a pipe since somebody looked.
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

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


class Blocks:
    """The bytes of a file in blocks of at most so many, of an empty one nothing; or read into memory that is there.

    Raises:
        Refused: it can't be read.
    """

    def __init__(self, path: str, block_size: int = BLOCK) -> None:
        self._path = path
        self._block_size = block_size
        self._handle = -1
        self._left = self._size = -1
        self._has_size = True

    def __del__(self) -> None:
        self._close()

    def __iter__(self) -> Blocks:
        return self

    def __next__(self) -> bytes:
        block = b""
        try:
            if left := self._open():
                block = os.read(self._handle, min(left, self._block_size))
        except OSError as error:
            raise cannot_read(self._path, error) from None
        if not self._has_read(len(block)):
            raise StopIteration
        return block

    def left(self) -> int:
        """Return how many bytes are still to come, as long as the file was when it was opened; 0 if it does not say."""
        try:
            left = self._open()
        except OSError as error:
            raise cannot_read(self._path, error) from None
        return left if self._has_size else 0

    def read_into(self, place: memoryview) -> int:
        """Read the next bytes; return how many, 0 only at the end."""
        count = 0
        try:
            if left := self._open():
                count = os.readv(self._handle, [place[:left]])
        except OSError as error:
            raise cannot_read(self._path, error) from None
        return self._has_read(count)

    def _open(self) -> int:
        """Return how many bytes are left, having opened the file if nobody has yet."""
        if self._left < 0:
            self._handle = os.open(self._path, _TO_READ)
            found = os.fstat(self._handle)
            refuse_endless(self._path, found)
            self._left = self._size = found.st_size
            if not self._left:  # the kernel's own files have no size
                self._left, self._block_size, self._has_size = _MOST_UNSIZED + 1, _UNSIZED, False
        return self._left

    def _has_read(self, count: int) -> int:
        if not count and self._left > 0 and self._has_size:
            _refuse_cut(self._path, self._handle, self._size)
        self._left = self._left - count if count else 0
        if count and not self._left and not self._has_size:
            raise Refused(f"cannot read {self._path}: it seems to have no end", hint=_PIPE_IT)
        if not self._left:
            self._close()
        return count

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def read_small(path: str, most: int) -> bytes | None:
    """Return all bytes of a file of at most so many; None, and nothing is read, if there are more or none.

    What most files take is one read, and an end that is known.

    Raises:
        Refused: it can't be read.
    """
    try:
        handle = os.open(path, _TO_READ)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                refuse_endless(path, found)
            size = found.st_size
            if not 0 < size <= most:
                return None
            data = os.read(handle, size)
            if len(data) < size:
                _refuse_cut(path, handle, size)
            return data
        finally:
            os.close(handle)
    except OSError as error:
        raise cannot_read(path, error) from None


def _refuse_cut(path: str, handle: int, size: int) -> None:
    """Refuse a file that has become shorter since it was opened: half of the old one is nobody's file.

    One that still says it is as long as before never was: sysfs says 4096 of everything.
    """
    if os.fstat(handle).st_size < size:
        raise Refused(
            f"cannot read {path}: it became shorter while it was read",
            hint="nothing was put; put it when nobody writes to it",
        )


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
