"""Make files, each of which is whole or not there; a module, and also the program of a process that makes many.

    new_files.py create|replace

A request is a length, u64, and so many bytes, which are a marshalled list of (path, content); the answer is two u32,
the number of the error and how many files were made before it, or 0 and how many there were. It ends with its input.

It imports nothing that takes time, because it is started anew for each call that makes many files.

Read next: file_makers.py (who starts this), local_target.py (who else makes files).
"""

from __future__ import annotations

import errno
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as all else here
    from collections.abc import Callable, Iterable

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STRETCH = 16 << 20
LENGTH = 8
NUMBER = 4
"""Bytes of the numbers in requests and answers."""


def create(path: str, blocks: Iterable[bytes]) -> None:
    """Make a file where there is none."""
    handle = os.open(path, _NEW, 0o666)
    written = begun = 0
    try:
        for block in blocks:
            _write(handle, block)
            written += len(block)
            if written - begun >= _STRETCH:
                # Has the disk begin with what it will have to write anyway, while we read on.
                os.posix_fadvise(handle, begun, written - begun, os.POSIX_FADV_DONTNEED)
                begun = written
    finally:
        os.close(handle)


def replace(path: str, blocks: Iterable[bytes]) -> None:
    """Make a file, which takes the place of the one that is there once it is whole."""
    scratch = beside(path)
    try:
        create(scratch, blocks)
        os.replace(scratch, path)
    except BaseException:
        if os.path.lexists(scratch):
            os.unlink(scratch)
        raise


def beside(path: str) -> str:
    """Return a path in the same folder at which there is nothing."""
    return os.path.join(os.path.dirname(path), f".get-{os.urandom(8).hex()}")


def main(write: Callable[[str, Iterable[bytes]], None]) -> None:
    """Answer the requests on stdin."""
    while length := int.from_bytes(_read(LENGTH), "little"):
        made = number = 0
        try:
            for path, data in marshal.loads(_read(length)):
                write(path, (data,))
                made += 1
        except OSError as error:
            number = error.errno or errno.EIO
        os.write(1, number.to_bytes(NUMBER, "little") + made.to_bytes(NUMBER, "little"))


def _read(length: int) -> bytes:
    """Return the next bytes of the input, none at its end."""
    parts = []
    while length and (part := os.read(0, length)):
        parts.append(part)
        length -= len(part)
    return b"" if length else b"".join(parts)


def _write(handle: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(handle, view) :]


if __name__ == "__main__":
    main({"create": create, "replace": replace}[sys.argv[1]])
