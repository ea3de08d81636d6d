"""A process that finds where content is to be cut, so that we can do other things meanwhile.

The cutter holds Python's global lock while it looks for a cut, which is most of the work of storing content. In a
thread it made all others wait: hashing and writing took turns with it, on two cores as on one. The process looks at
memory that it shares with us, so that what it looks at is what will be stored.

Read next: cutter_process.py (its program), cutting.py (who has one at work).
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pachlet.storage.chunker import AVERAGE_SIZE, MAX_SIZE, MIN_SIZE, cut_lengths

SEGMENT = 16 << 20
"""Bytes that are cut at one go; of each the last chunk is cut again."""
SEGMENTS = 4
"""One is cut and one is read into; of the others chunks are hashed and written."""
HEAD = MAX_SIZE
"""Bytes before each segment, for what is left of the one before it: less than a chunk."""

_REQUEST = struct.Struct("<QQ")
_LONGEST_ANSWER = 4096
assert (HEAD + SEGMENT) // MIN_SIZE * 4 + 4 <= _LONGEST_ANSWER  # that much is written to a pipe at one go
_PROGRAM = Path(__file__).with_name("cutter_process.py")


class Cutter:
    """The process and the memory that it shares with us, in segments; for one thread at a time.

    Until it has started, and should it end, its work is done here: what comes of it is the same.
    """

    def __init__(self) -> None:
        """Start the process; raises OSError where there can't be another."""
        self.size = HEAD + SEGMENT
        self._descriptor = os.memfd_create("chunks")
        try:
            os.ftruncate(self._descriptor, SEGMENTS * self.size)
            self._mapping = mmap.mmap(self._descriptor, 0)
            self._process = self._start()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._memory = memoryview(self._mapping)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self._is_ready = False
        self.is_used = False
        """Whether it has memory that could be given back."""
        self._asked: tuple[memoryview, bool] | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        numbers = (self._descriptor, MIN_SIZE, AVERAGE_SIZE, MAX_SIZE)
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), *map(str, numbers), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={},
            pass_fds=[self._descriptor],
            process_group=0,  # Ctrl-C at a terminal is for the server, which then decides
        )

    def segment(self, number: int) -> memoryview:
        """Return the memory of a segment, with its head; numbers go on and on, memory comes again."""
        start = number % SEGMENTS * self.size
        return self._memory[start : start + self.size]

    def begin(self, number: int, start: int, end: int) -> None:
        """Have what lies in a part of a segment cut; `lengths` is to be asked before the next."""
        base = number % SEGMENTS * self.size
        self.is_used = True
        self._asked = self._memory[base + start : base + end], self._ask(base + start, base + end)

    def lengths(self) -> Sequence[int]:
        """Return the length of each chunk of what was begun; the last may be due to its end."""
        assert self._asked is not None
        data, is_asked = self._asked
        if is_asked and (answer := self._answers.read(_LONGEST_ANSWER)):
            lengths = struct.unpack(f"<{len(answer) // 4}I", answer)
            if sum(lengths) == len(data):  # else it is no answer to that
                return lengths
        return cut_lengths(data)

    def forget(self) -> bool:
        """Give back the memory, until there is something to cut again; tell whether this kernel can do that."""
        try:
            self._mapping.madvise(mmap.MADV_REMOVE)
        except OSError:  # gVisor can't
            return False
        self.is_used = False
        return True

    def close(self) -> None:
        """End the process. The memory stays for as long as somebody has a view of it."""
        self._process.kill()
        with self._process:
            pass
        os.close(self._descriptor)

    def _ask(self, start: int, end: int) -> bool:
        if start == end:
            return False
        if not self._is_ready:
            if not select.select([self._answers], [], [], 0)[0]:
                return False
            self._is_ready = True
            self._answers.read(1)
        try:
            self._questions.write(_REQUEST.pack(start, end))
        except BrokenPipeError:
            return False
        return True
