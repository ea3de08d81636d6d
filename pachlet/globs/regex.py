"""Regular expressions over paths, in RE2's language, that can't run away.

Python's own matcher takes exponential time for expressions like `(a+)+$`, and holds up every thread meanwhile. Here
all ways through the expression are followed at once, character by character; which ways are open after which
character is remembered, so most steps are one look into a dictionary.

What there is: literals, `.`, classes (also `[[:alpha:]]`, `\\d \\s \\w`), `* + ? {n,m}` (greedy or not is all the
same, since only whether there is a match is asked), groups, `|`, `^ $ \\A \\z \\b \\B`, and `(?i)` for what comes after
it in a group. Paths are printable ASCII, so `(?s)` and `(?m)` change nothing. As in RE2, there are no back-references
and no looking around.

Read next: regex_pattern.py (the parts), glob.py (the language of PFS itself).
"""

from __future__ import annotations

from pachlet.errors import Refused
from pachlet.globs.regex_pattern import WORD, Choice, Edge, Node, One, Parser, Repeat, Sequence

MAX_STATES = 10_000
_REMEMBERED = 200_000  # states, in all sets of open ways


class Regex:
    """A compiled expression, for one thread at a time; raises Refused for one that is wrong."""

    def __init__(self, pattern: str) -> None:
        self._machine = _Machine(pattern)
        self._machine.add(Parser(pattern).parse())
        self._steps: dict[tuple[frozenset[int], str, str], frozenset[int] | None] = {}
        self._remembered = 0

    def search(self, text: str) -> bool:
        """Tell whether any part of `text` matches."""
        states: frozenset[int] = frozenset()
        before = ""
        for char in text:
            following = self._step(states, before, char)
            if following is None:
                return True
            states, before = following, char
        return self._step(states, before, "") is None

    def _step(self, states: frozenset[int], before: str, char: str) -> frozenset[int] | None:
        """Return the ways that are open behind a character ("" is the end), None once there is a match."""
        key = (states, _kind(before), char)
        try:
            return self._steps[key]
        except KeyError:
            self._remembered += 1 + len(states)
            if self._remembered > _REMEMBERED:
                self._steps.clear()
                self._remembered = 1 + len(states)
            following = self._steps[key] = self._machine.step(states, before, char)
            return following


class _Machine:
    """States, each of which reads a character, stands at an edge, or leads on to others without reading."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._reads: list[frozenset[str] | None] = [None]
        self._edges: list[str] = [""]
        self._next: list[list[int]] = [[]]
        self._end = 0

    def add(self, node: Node) -> None:
        self._end = self._add(node, 0)

    def step(self, states: frozenset[int], before: str, char: str) -> frozenset[int] | None:
        found: set[int] = set()
        todo = [0, *states]  # a match may begin anywhere
        seen = set(todo)
        while todo:
            at = todo.pop()
            if at == self._end:
                return None
            reads, edge = self._reads[at], self._edges[at]
            if reads is not None:
                if char and char in reads:
                    found.update(self._next[at])
                continue
            if edge and not _is_at(edge, before, char):
                continue
            for each in self._next[at]:
                if each not in seen:
                    seen.add(each)
                    todo.append(each)
        return frozenset(found)

    def _add(self, node: Node, start: int) -> int:
        """Add states for a node behind `start`; return the one behind it."""
        if isinstance(node, One):
            return self._new(self._new(start, reads=node.chars))
        if isinstance(node, Edge):
            return self._new(self._new(start, edge=node.kind))
        if isinstance(node, Sequence):
            for each in node.parts:
                start = self._add(each, start)
            return start
        if isinstance(node, Choice):
            end = self._new(None)
            for each in node.options:
                self._next[self._add(each, self._new(start))].append(end)
            return end
        return self._add_repeat(node, start)

    def _add_repeat(self, node: Repeat, start: int) -> int:
        for _ in range(node.least):
            start = self._add(node.of, self._new(start))
        if node.most is None:
            loop = self._new(start)
            self._next[self._add(node.of, loop)].append(loop)
            return self._new(loop)
        end = self._new(None)
        for _ in range(node.most - node.least):
            self._next[start].append(end)
            start = self._add(node.of, self._new(start))
        self._next[start].append(end)
        return end

    def _new(self, before: int | None, reads: frozenset[str] | None = None, edge: str = "") -> int:
        if len(self._next) >= MAX_STATES:
            raise Refused(f"regular expression ({self._pattern}) invalid: it repeats too much")
        self._reads.append(reads)
        self._edges.append(edge)
        self._next.append([])
        if before is not None:
            self._next[before].append(len(self._next) - 1)
        return len(self._next) - 1


def _kind(char: str) -> str:
    """Return what is to be known of the character before a place."""
    return "" if not char else "w" if char in WORD else "-"


def _is_at(edge: str, before: str, char: str) -> bool:
    if edge == "start":
        return not before
    if edge == "end":
        return not char
    is_boundary = (before in WORD) != (char in WORD)
    return is_boundary == (edge == "boundary")
