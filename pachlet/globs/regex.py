"""Regular expressions over paths, in RE2's language, that can't run away.

Python's own matcher takes exponential time for expressions like `(a+)+$`, and holds up every thread meanwhile. Here
all ways through the expression are followed at once, character by character; which ways are open after which
character is remembered, so most steps are one look into a dictionary.

What there is: literals, `.`, classes (also `[[:alpha:]]`, `\\d \\s \\w`), `* + ? {n,m}` (greedy or not is all the
same, since only whether there is a match is asked), groups, `|`, `^ $ \\A \\z \\b \\B`, and `(?i)` for what comes after
it in a group. Paths are printable ASCII, so `(?s)` and `(?m)` change nothing. As in RE2, there are no back-references
and no looking around.

Read next: glob.py (the language of PFS itself).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pachlet.errors import Refused

MAX_REPEAT = 1000
MAX_STATES = 10_000
MAX_DEPTH = 100  # of groups within groups
_REMEMBERED = 200_000  # states, in all sets of open ways

_ASCII = frozenset(map(chr, range(128)))
_DIGIT = frozenset("0123456789")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_WORD = _DIGIT | _LOWER | _UPPER | {"_"}
_SPACE = frozenset("\t\n\f\r ")
_PUNCT = frozenset(char for char in _ASCII if "!" <= char <= "~") - (_WORD - {"_"})
_ESCAPES = {
    "d": _DIGIT,
    "D": _ASCII - _DIGIT,
    "w": _WORD,
    "W": _ASCII - _WORD,
    "s": _SPACE,
    "S": _ASCII - _SPACE,
}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_EDGES = {"A": "start", "z": "end", "b": "boundary", "B": "inside"}
_POSIX = {
    "alnum": _DIGIT | _LOWER | _UPPER,
    "alpha": _LOWER | _UPPER,
    "ascii": _ASCII,
    "blank": frozenset("\t "),
    "cntrl": frozenset(char for char in _ASCII if char < " " or char == "\x7f"),
    "digit": _DIGIT,
    "graph": _PUNCT | _DIGIT | _LOWER | _UPPER,
    "lower": _LOWER,
    "print": _PUNCT | _DIGIT | _LOWER | _UPPER | {" "},
    "punct": _PUNCT,
    "space": _SPACE | {"\v"},
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": _DIGIT | frozenset("abcdefABCDEF"),
}
_POSIX_NAME = re.compile(r"\[:(\^?)([a-z]+):\]")
_REPEAT = re.compile(r"\{(\d+)(,?)(\d*)\}")
_FLAGS = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED = re.compile(r"\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")


@dataclass(frozen=True)
class _One:
    """One of these characters."""

    chars: frozenset[str]


@dataclass(frozen=True)
class _Edge:
    """No character, but a place of this kind."""

    kind: str


@dataclass(frozen=True)
class _Sequence:
    parts: tuple[_Node, ...]


@dataclass(frozen=True)
class _Choice:
    options: tuple[_Node, ...]


@dataclass(frozen=True)
class _Repeat:
    """So many times, at most `most` or, if that is None, without end."""

    of: _Node
    least: int
    most: int | None


_Node = _One | _Edge | _Sequence | _Choice | _Repeat


class Regex:
    """A compiled expression, for one thread at a time; raises Refused for one that is wrong."""

    def __init__(self, pattern: str) -> None:
        self._machine = _Machine(pattern)
        self._machine.add(_Parser(pattern).parse())
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

    def add(self, node: _Node) -> None:
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

    def _add(self, node: _Node, start: int) -> int:
        """Add states for a node behind `start`; return the one behind it."""
        if isinstance(node, _One):
            return self._new(self._new(start, reads=node.chars))
        if isinstance(node, _Edge):
            return self._new(self._new(start, edge=node.kind))
        if isinstance(node, _Sequence):
            for each in node.parts:
                start = self._add(each, start)
            return start
        if isinstance(node, _Choice):
            end = self._new(None)
            for each in node.options:
                self._next[self._add(each, self._new(start))].append(end)
            return end
        return self._add_repeat(node, start)

    def _add_repeat(self, node: _Repeat, start: int) -> int:
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


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._folds = False

    def parse(self) -> _Node:
        node = self._choice(0)
        if self._at < len(self._pattern):
            raise self._refusal(self._at, "there is no ( for this )")
        return node

    def _choice(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._refusal(self._at, f"groups are nested more than {MAX_DEPTH} deep")
        folds = self._folds
        options = [self._sequence(depth)]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence(depth))
        self._folds = folds
        return _Choice(tuple(options)) if len(options) > 1 else options[0]

    def _sequence(self, depth: int) -> _Node:
        parts: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            start = self._at
            node = self._atom(depth)
            if node is not None:
                parts.append(self._repeated(node, start))
        return _Sequence(tuple(parts))

    def _repeated(self, node: _Node, start: int) -> _Node:
        repeat = self._repeat()
        if repeat is None:
            return node
        if self._peek() == "?":
            self._at += 1
        if self._repeat() is not None:
            raise self._refusal(start, "what is repeated can't be repeated again; put it into a group")
        return _Repeat(node, *repeat)

    def _repeat(self) -> tuple[int, int | None] | None:
        char = self._peek()
        if char and char in "*+?":
            self._at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        found = _REPEAT.match(self._pattern, self._at)
        if not found:
            return None
        least = int(found[1])
        most = int(found[3]) if found[3] else None if found[2] else least
        if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
            raise self._refusal(self._at, f"{found[0]} is no number of times from 0 to {MAX_REPEAT}")
        self._at = found.end()
        return least, most

    def _atom(self, depth: int) -> _Node | None:
        """Return what stands here, None for flags, which are nothing by themselves."""
        start, char = self._at, self._peek()
        self._at += 1
        if char == "(":
            return self._group(start, depth)
        if char == "[":
            return _One(self._fold(self._chars(start)))
        if char == ".":
            return _One(_ASCII - {"\n"})
        if char in "^$":
            return _Edge("start" if char == "^" else "end")
        if char in "*+?":
            raise self._refusal(start, f"there is nothing that {char} could repeat")
        if char == "\\":
            if self._peek() in _EDGES:
                self._at += 1
                return _Edge(_EDGES[self._pattern[self._at - 1]])
            return _One(self._fold(self._escape(start)))
        return _One(self._fold(frozenset(char)))

    def _group(self, start: int, depth: int) -> _Node | None:
        folds = self._folds
        if flags := _FLAGS.match(self._pattern, self._at):
            self._at = flags.end()
            self._folds = (folds or "i" in flags[1]) and "i" not in (flags[2] or "")
            if flags[3] == ")":
                return None
        elif named := _NAMED.match(self._pattern, self._at):
            self._at = named.end()
        elif self._peek() == "?":
            raise self._refusal(start, "RE2 has no group of this kind")
        node = self._choice(depth + 1)
        if self._peek() != ")":
            raise self._refusal(start, "the group that opens here is never closed by )")
        self._at += 1
        self._folds = folds
        return node

    def _chars(self, start: int) -> frozenset[str]:
        found: set[str] = set()
        is_negated = self._peek() == "^"
        self._at += is_negated
        is_first = True
        while (char := self._peek()) != "]" or is_first:
            is_first = False
            if not char:
                raise self._refusal(start, "the [ is never closed by ]")
            if named := _POSIX_NAME.match(self._pattern, self._at):
                if named[2] not in _POSIX:
                    raise self._refusal(self._at, f"there is no class {named[0]}")
                found |= _ASCII - _POSIX[named[2]] if named[1] else _POSIX[named[2]]
                self._at = named.end()
                continue
            found |= self._range()
        self._at += 1
        return _ASCII - found if is_negated else frozenset(found)

    def _range(self) -> frozenset[str]:
        start = self._at
        low = self._char_of_class()
        if self._peek() != "-" or self._pattern[self._at + 1 : self._at + 2] in ("]", "") or len(low) != 1:
            return low
        self._at += 1
        high = self._char_of_class()
        if len(high) != 1 or min(high) < min(low):
            raise self._refusal(start, f"{self._pattern[start : self._at]} is no range")
        return frozenset(char for char in _ASCII if min(low) <= char <= min(high))

    def _char_of_class(self) -> frozenset[str]:
        start, char = self._at, self._peek()
        self._at += 1
        return self._escape(start) if char == "\\" else frozenset(char)

    def _escape(self, start: int) -> frozenset[str]:
        char = self._peek()
        if char in _ESCAPES:
            self._at += 1
            return _ESCAPES[char]
        if found := _HEX.match(self._pattern, self._at):
            self._at = found.end()
            number = int(found[1] or found[2], 16)
            return frozenset(chr(number)) if number < 0x110000 else frozenset()
        if char in _CONTROLS:
            self._at += 1
            return frozenset(_CONTROLS[char])
        if not char or char.isalnum():
            raise self._refusal(start, f"there is no \\{char}")
        self._at += 1
        return frozenset(char)

    def _fold(self, chars: frozenset[str]) -> frozenset[str]:
        if not self._folds:
            return chars
        return chars | {char.lower() for char in chars} | {char.upper() for char in chars}

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _refusal(self, at: int, why: str) -> Refused:
        return Refused(f"regular expression ({self._pattern}) invalid: character {at + 1}: {why}")


def _kind(char: str) -> str:
    """Return what is to be known of the character before a place."""
    return "" if not char else "w" if char in _WORD else "-"


def _is_at(edge: str, before: str, char: str) -> bool:
    if edge == "start":
        return not before
    if edge == "end":
        return not char
    is_boundary = (before in _WORD) != (char in _WORD)
    return is_boundary == (edge == "boundary")


__all__: Sequence[str] = ["Regex"]
