"""Count what is about to be put while it is being put: its size tells how much time is left.

A walk over a large folder takes as long as a good part of the put itself, so nobody waits for it.

Read next: put_file.py, pachlet/cli/progress.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from pachlet.client.put_file import FromFolder, Put
from pachlet.errors import PachletError
from pachlet.local_files import files_below


class Measure:
    """Counts files and bytes in a thread of its own."""

    def __init__(self, puts: Sequence[Put]) -> None:
        self._puts = puts
        self._files = 0
        self._bytes: int | None = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def total(self) -> int | None:
        """Return the number of bytes, None while that is not known."""
        return None if self._thread.is_alive() else self._bytes

    def wait(self) -> tuple[int, int | None]:
        """Return the number of files and of bytes; None where nobody knows."""
        self._thread.join()
        return self._files, self._bytes

    def _count(self) -> None:
        try:
            for put in self._puts:
                if isinstance(put, FromFolder):
                    for _, path in files_below(str(put.local)):
                        self._add(os.stat(path).st_size)
                else:
                    self._add(put.size)
        except (PachletError, OSError):
            self._bytes = None  # the put itself will say what is wrong

    def _add(self, size: int | None) -> None:
        self._files += 1
        if self._bytes is not None:
            self._bytes = None if size is None else self._bytes + size
