"""Find where content is to be cut, in memory that is shared with the server; a program, not a module to import.

    cutter_process.py DESCRIPTOR MIN_SIZE AVERAGE_SIZE MAX_SIZE FOLDER...

The descriptor is the memory's, the folders are where modules are looked for. A request is two u64, where the bytes
begin and end; the answer is the length of each chunk, as u32, in one write. Before the first it writes one byte, to say
that it is there. It ends with its input.

It imports nothing that takes time, because somebody waits for it to begin.

Read next: cutter.py (who starts this).
"""

from __future__ import annotations

import mmap
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as starting Python
    from collections.abc import Callable, Iterable
    from typing import Any

_REQUEST = struct.Struct("<QQ")


_UNUSED = ("click", "hashlib", "pathlib", "typing")
"""What fastcdc imports for its command line and its types."""


def import_cutter() -> Callable[..., Iterable[Any]]:
    """Import what cuts, without what it needs for other things: that takes most of the time."""
    before = set(sys.modules)
    sys.modules.update({name: _Unused(name) for name in _UNUSED if name not in before})
    try:
        from fastcdc import fastcdc
    except Exception:  # a version that does more with them
        for name in sys.modules.keys() - before:
            del sys.modules[name]
        from fastcdc import fastcdc
    found: Callable[..., Iterable[Any]] = fastcdc
    return found


class _Unused(type(sys)):  # type: ignore[misc]  # a module
    """A module in which there is a class of every name."""

    def __getattr__(self, name: str) -> type:
        return _Anything


class _Anything:
    """A class that nothing is of, and that may be told what it is of, as typing's are."""

    def __class_getitem__(cls, kind: object) -> type:
        return cls


def main(descriptor: int, smallest: int, average: int, largest: int) -> None:
    """Answer the requests on stdin."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what a module prints is no answer: fastcdc does where it has no compiled part
    fastcdc = import_cutter()
    memory = memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))
    os.write(answers, b"\0")
    while len(request := os.read(0, _REQUEST.size)) == _REQUEST.size:
        start, end = _REQUEST.unpack(request)
        lengths = [chunk.length for chunk in fastcdc(memory[start:end], smallest, average, largest)]
        os.write(answers, struct.pack(f"<{len(lengths)}I", *lengths))


if __name__ == "__main__":
    sys.path[:] = sys.argv[5:]
    main(*map(int, sys.argv[1:5]))
