"""Read a regular expression into its parts: characters, edges, sequences, choices and repetitions.

What is wrong is refused with its place in the expression.

Read next: regex.py (the language, and what is done with the parts).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pachlet.errors import Refused

MAX_REPEAT = 1000
MAX_DEPTH = 100  # of groups within groups

ASCII = frozenset(map(chr, range(128)))
_DIGIT = frozenset("0123456789")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
WORD = _DIGIT | _LOWER | _UPPER | {"_"}
_SPACE = frozenset("\t\n\f\r ")
_PUNCT = frozenset(char for char in ASCII if "!" <= char <= "~") - (WORD - {"_"})
_ESCAPES = {
    "d": _DIGIT,
    "D": ASCII - _DIGIT,
    "w": WORD,
    "W": ASCII - WORD,
    "s": _SPACE,
    "S": ASCII - _SPACE,
}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_EDGES = {"A": "start", "z": "end", "b": "boundary", "B": "inside"}
_POSIX = {
    "alnum": _DIGIT | _LOWER | _UPPER,
    "alpha": _LOWER | _UPPER,
    "ascii": ASCII,
    "blank": frozenset("\t "),
    "cntrl": frozenset(char for char in ASCII if char < " " or char == "\x7f"),
    "digit": _DIGIT,
    "graph": _PUNCT | _DIGIT | _LOWER | _UPPER,
    "lower": _LOWER,
    "print": _PUNCT | _DIGIT | _LOWER | _UPPER | {" "},
    "punct": _PUNCT,
    "space": _SPACE | {"\v"},
    "upper": _UPPER,
    "word": WORD,
    "xdigit": _DIGIT | frozenset("abcdefABCDEF"),
}
_POSIX_NAME = re.compile(r"\[:(\^?)([a-z]+):\]")
_REPEAT = re.compile(r"\{([0-9]{1,9})(,?)([0-9]{0,9})\}")
_FLAGS = re.compile(r"\?([imsU]*)(?:-([imsU]+))?([:)])")
_NAMED = re.compile(r"\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")


@dataclass(frozen=True)
class One:
    """One of these characters."""

    chars: frozenset[str]


@dataclass(frozen=True)
class Edge:
    """No character, but a place of this kind."""

    kind: str


@dataclass(frozen=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of these."""

    options: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """So many times, at most `most` or, if that is None, without end."""

    of: Node
    least: int
    most: int | None


Node = One | Edge | Sequence | Choice | Repeat


class Parser:
    """Reads an expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._folds = False

    def parse(self) -> Node:
        node = self._choice(0)
        if self._at < len(self._pattern):
            raise self._refusal(self._at, "there is no ( for this )")
        return node

    def _choice(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._refusal(self._at, f"groups are nested more than {MAX_DEPTH} deep")
        folds = self._folds
        options = [self._sequence(depth)]
        while self._peek() == "|":
            self._at += 1
            options.append(self._sequence(depth))
        self._folds = folds
        return Choice(tuple(options)) if len(options) > 1 else options[0]

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            start = self._at
            node = self._atom(depth)
            if node is not None:
                parts.append(self._repeated(node, start))
        return Sequence(tuple(parts))

    def _repeated(self, node: Node, start: int) -> Node:
        repeat = self._repeat()
        if repeat is None:
            return node
        if self._peek() == "?":
            self._at += 1
        if self._repeat() is not None:
            raise self._refusal(start, "what is repeated can't be repeated again; put it into a group")
        return Repeat(node, *repeat)

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

    def _atom(self, depth: int) -> Node | None:
        """Return what stands here, None for flags, which are nothing by themselves."""
        start, char = self._at, self._peek()
        self._at += 1
        if char == "(":
            return self._group(start, depth)
        if char == "[":
            return One(self._fold(self._chars(start)))
        if char == ".":
            return One(ASCII - {"\n"})
        if char in "^$":
            return Edge("start" if char == "^" else "end")
        if char in "*+?":
            raise self._refusal(start, f"there is nothing that {char} could repeat")
        if char == "\\":
            if self._peek() in _EDGES:
                self._at += 1
                return Edge(_EDGES[self._pattern[self._at - 1]])
            return One(self._fold(self._escape(start)))
        return One(self._fold(frozenset(char)))

    def _group(self, start: int, depth: int) -> Node | None:
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
                found |= ASCII - _POSIX[named[2]] if named[1] else _POSIX[named[2]]
                self._at = named.end()
                continue
            found |= self._range()
        self._at += 1
        return ASCII - found if is_negated else frozenset(found)

    def _range(self) -> frozenset[str]:
        start = self._at
        low = self._char_of_class()
        if self._peek() != "-" or self._pattern[self._at + 1 : self._at + 2] in ("]", "") or len(low) != 1:
            return low
        self._at += 1
        high = self._char_of_class()
        if len(high) != 1 or min(high) < min(low):
            raise self._refusal(start, f"{self._pattern[start : self._at]} is no range")
        return frozenset(char for char in ASCII if min(low) <= char <= min(high))

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
