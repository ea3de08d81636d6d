"""Find where content is to be cut, in memory that is shared with the server; a program, not a module to import.

    cutter_process.py DESCRIPTOR MIN_SIZE AVERAGE_SIZE MAX_SIZE FOLDER...

The descriptor is the memory's, the folders are where modules are looked for. A request is two u64, where the bytes
begin and end; the answer is the length of each chunk, as u32, in one write. Before the first it writes one byte, to say
that it is there. It ends with its input.

Read next: cutter.py (who starts this).
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REQUEST = struct.Struct("<QQ")


def import_cutter() -> Callable[..., Iterable[Any]]:
    """Import what cuts, without click: only its own command line needs that, and it takes most of the time."""
    sys.modules["click"] = _Nothing("click")
    try:
        from fastcdc import fastcdc
    except Exception:  # a version that does more with it
        for name in [each for each in sys.modules if each.partition(".")[0] in ("click", "fastcdc")]:
            del sys.modules[name]
        from fastcdc import fastcdc
    found: Callable[..., Iterable[Any]] = fastcdc
    return found


class _Nothing(type(sys)):  # type: ignore[misc]  # a module
    """A module in which there is a class of every name."""

    def __getattr__(self, name: str) -> type:
        return object


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
