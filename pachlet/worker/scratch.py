"""Spread, empty and remove folders that a step writes to, and open its files.

A step may leave anything in its output: links that point elsewhere, folders without permissions, folders nested
deeper than any path is long; with datum batching it still runs and may put a link where a file was. So a worker
changes and opens only what a descriptor says it is, and follows no link.

Read next: session.py (when that happens), outputs.py (what is opened).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from io import FileIO
from pathlib import Path

from pachlet.errors import Refused

_SYS_OPENAT2 = 437  # the same on every architecture; Linux 5.6 or newer
_AT_FDCWD, _RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS = -100, 0x02, 0x04
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS, _TOP_OF_HIERARCHIES = 0x80086601, 0x40086602, 0x00020000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_open_at = _libc.syscall
_open_at.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)


def spread(folder: Path) -> None:
    """Tell the file system, where it listens, that the folders in this one have nothing to do with each other.

    ext4 then puts each into a group of its own, if `make_apart` makes them. Making files in a group where others were
    just removed is slow without a journal: it looks at each of their places, and scratch folders live by making and
    removing.
    """
    flags = bytearray(8)
    with contextlib.suppress(OSError):
        top = os.open(folder, _FOLDER)
        try:
            fcntl.ioctl(top, _FS_IOC_GETFLAGS, flags)
            (found,) = struct.unpack_from("i", flags)
            fcntl.ioctl(top, _FS_IOC_SETFLAGS, struct.pack("ii", found | _TOP_OF_HIERARCHIES, 0))
        finally:
            os.close(top)


def make_apart(folder: Path) -> None:
    """Make a folder, in one that is spread, where nobody else makes and removes files.

    The group is chosen by the name that a folder is made with. What is called `out` in every session would meet in one
    group, and follow those that were just removed there; so it gets its name afterwards.
    """
    made = folder.with_name(f".{os.urandom(8).hex()}")
    made.mkdir()
    made.rename(folder)


def empty(folder: Path, *, keep: str = "") -> None:
    """Remove everything in `folder` but the entry `keep`; the folder itself stays, and can be used again."""
    _let_us(folder, 0o700)
    top = os.open(folder, _FOLDER)
    try:
        _empty(top, keep)
    finally:
        os.close(top)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it; it may be gone already."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    empty(path)
    path.rmdir()


def _empty(top: int, keep: str) -> None:
    """Empty a folder, whatever the depth: each folder in it is taken to its top before it is looked into."""
    todo = _clear_files(top, top, keep, "")
    if not todo:
        return
    aside = f".{os.urandom(8).hex()}-"  # a name that the step can't have given
    made = 0
    while todo:
        name = todo.pop()
        _open_to_us(top, name)
        below = os.open(name, _FOLDER, dir_fd=top)
        try:
            found = _clear_files(below, top, "", f"{aside}{made}-")
        finally:
            os.close(below)
        made += 1
        todo += found
        os.rmdir(name, dir_fd=top)


def _clear_files(folder: int, top: int, keep: str, aside: str) -> list[str]:
    """Remove the files of a folder and move its folders to `top`; return the names that they have there."""
    moved: list[str] = []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if entry.name != keep]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=folder)
        elif folder == top:
            moved.append(name)
        else:
            _open_to_us(folder, name)  # where a folder is, is written in it: it takes that right to move it
            moved.append(f"{aside}{len(moved)}")
            os.rename(name, moved[-1], src_dir_fd=folder, dst_dir_fd=top)
    return moved


def _open_to_us(folder: int, name: str) -> None:
    """Let us read and change a folder in a folder; nothing is changed that is not one."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        mode = os.fstat(found).st_mode
        if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
            os.chmod(f"/proc/self/fd/{found}", stat.S_IMODE(mode) | 0o700)
    finally:
        os.close(found)


def open_up(folder: Path) -> None:
    """Let us read and change a folder and all folders in it."""
    _let_us(folder, 0o700)
    for at, folders, _ in os.walk(folder):
        for name in folders:
            below = Path(at, name)
            if not below.is_symlink():  # chmod follows links
                _let_us(below, 0o700)


def open_file(path: str | Path) -> FileIO:
    """Open a file that a step wrote for reading, whatever its permissions are.

    Raises:
        Refused: it is no file any more, or a link is in its path: a step that still runs put it there.
    """
    descriptor, _ = _open_readable(path)
    return open(descriptor, "rb", buffering=0)


def read_file(path: str | Path, at_most: int) -> bytes | None:
    """Return what is in a file that a step wrote; None if it is more than so many bytes.

    Raises:
        Refused: as `open_file` does.
        OSError: the disk fails.
    """
    descriptor, size = _open_readable(path)
    try:
        if size > at_most:
            return None
        found = data = os.read(descriptor, size + 1)
        # A read that is short need not be the last; and one that brings more is of a file that somebody still writes.
        while data and len(found) != size and len(found) <= at_most:
            data = os.read(descriptor, at_most + 1 - len(found))
            found += data
    finally:
        os.close(descriptor)
    return found if len(found) <= at_most else None


def _open_readable(path: str | Path) -> tuple[int, int]:
    """Open a file that a step wrote; return its descriptor and size."""
    try:
        try:
            descriptor = _open_plainly(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            found = _open_plainly(path, os.O_PATH | os.O_CLOEXEC)
            try:
                os.chmod(f"/proc/self/fd/{found}", stat.S_IMODE(os.fstat(found).st_mode) | 0o400)
            finally:
                os.close(found)
            descriptor = _open_plainly(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise _changed(path, problem.strerror or "") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _changed(path, "it is no file any more")
    return descriptor, status.st_size


def _open_plainly(path: str | Path, flags: int) -> int:
    """Open a path that has no link in it."""
    how = struct.pack("QQQ", flags, 0, _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS)
    descriptor = _open_at(_SYS_OPENAT2, _AT_FDCWD, os.fsencode(path), how, len(how))
    if descriptor >= 0:
        return int(descriptor)
    problem = ctypes.get_errno()
    if problem == errno.ENOSYS:  # without a sandbox an older kernel will do
        return os.open(path, flags | os.O_NOFOLLOW)
    raise OSError(problem, os.strerror(problem), str(path))


def _changed(path: str | Path, why: str) -> Refused:
    return Refused(
        f"{os.path.basename(path)} in /pfs/out was changed while it was collected: {why}",
        hint="write the output before asking for the next datum",
    )


def _let_us(path: Path, wanted: int) -> None:
    # The mode is compared, not tried out: root may do anything, but the step, root or not, may not.
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & wanted != wanted:
        path.chmod(mode | wanted)
