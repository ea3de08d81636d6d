"""Find lines of a file in what steps printed: their words are kept in the database, not with the files.

A log line quotes a file if it holds a whole line of it, or is itself a piece of one, of twelve characters or more:
shorter ones, such as a number, are said by chance. The beginnings of the file's lines are looked up in a table, so a
log is read once however long the file is; and where all lines begin alike, as those of a table may, the rest is looked
up, too.

Read next: purging.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

SHORTEST = 12
"""Characters that a quote has at least."""
_MOST_BYTES = 64 << 20
"""So much of the files is looked for; beyond, the purge says that it did not look."""


class Quotes:
    """The lines of files that are text."""

    def __init__(self) -> None:
        self._lines: dict[str, set[str]] = defaultdict(set)
        self._sorted: dict[str, tuple[list[str], list[int]]] = {}
        self._left = _MOST_BYTES
        self.is_whole = True
        """Whether all of the files are looked for."""

    def add(self, blocks: Iterable[bytes]) -> None:
        """Look for the lines of a file as well; one that is not text has none."""
        parts = []
        for block in blocks:
            if len(block) > self._left:
                self.is_whole = False
                break
            self._left -= len(block)
            parts.append(block)
        try:
            text = b"".join(parts).decode()
        except UnicodeDecodeError:
            return
        for line in map(str.strip, text.splitlines()):
            if len(line) >= SHORTEST:
                self._lines[line[:SHORTEST]].add(line)
        self._sorted.clear()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def are_in(self, message: str) -> bool:
        """Tell whether a text quotes a line, or is the beginning of one."""
        for at in range(len(message) - SHORTEST + 1):
            begins = message[at : at + SHORTEST]
            if begins in self._lines and self._is_quoted(begins, message, at):
                return True
        return False

    def _is_quoted(self, begins: str, message: str, at: int) -> bool:
        lines = self._lines[begins]
        if begins not in self._sorted:
            self._sorted[begins] = sorted(lines), sorted({len(line) for line in lines})
        ordered, lengths = self._sorted[begins]
        if any(message[at : at + length] in lines for length in lengths):
            return True
        piece = message[at:].rstrip()
        first = bisect_left(ordered, piece)  # all that begin with it come from there on
        return first < len(ordered) and ordered[first].startswith(piece)
