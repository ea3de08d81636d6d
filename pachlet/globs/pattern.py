"""Read a glob into its parts: texts, characters, stars and groups.

A bracket that is never closed, an empty `[]` or a range that runs backwards is refused with its place in the
pattern. Groups nest properly: the innermost one says whether "," or "|" separates.

Read next: machine.py and glob.py (what is done with the parts).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pachlet.errors import Refused

MAX_DEPTH = 40  # of groups within groups

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": "\x00-\x7f",
    "blank": "\t ",
    "cntrl": "\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@[-`{-~",
    "space": "\t-\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_POSIX_NAME = re.compile(r":(\^?(?:" + "|".join(_POSIX) + r")):\]")


@dataclass(frozen=True)
class Text:
    """These characters exactly."""

    text: str


@dataclass(frozen=True)
class Chars:
    """One character: in one of the ranges or, if negated, in none."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def has(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True)
class Star:
    """Any number of such characters."""

    of: Chars


@dataclass(frozen=True)
class Group:
    """A choice of sequences; the kind is one of `{` (not captured), `@ ? * + !`."""

    kind: str
    choices: tuple[Sequence[Node], ...]


Node = Text | Chars | Star | Group

NOT_SLASH = Chars((("/", "/"),), negated=True)
ANYTHING = Chars((), negated=True)


class Parser:
    """Reads a pattern from left to right into a sequence of nodes."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        # Upstream decides once per pattern, not per group, what `!(..)` refuses: the whole rest of the path,
        # unless some text or star follows the first negation to be closed.
        self.refuses_to_end = True
        self._negation_closed = False

    def parse(self) -> list[Node]:
        sequence = self._sequence("", 0)
        assert self.at == len(self.pattern)
        return sequence

    def _sequence(self, stops: str, depth: int) -> list[Node]:
        nodes: list[Node] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in stops:
            node = self._node(depth)
            if isinstance(node, Text | Star):
                self.refuses_to_end = self.refuses_to_end and not self._negation_closed
            if isinstance(node, Text) and nodes and isinstance(nodes[-1], Text):
                node = Text(nodes.pop().text + node.text)  # type: ignore[union-attr]
            nodes.append(node)
        return nodes

    def _node(self, depth: int) -> Node:
        start, char = self.at, self.pattern[self.at]
        following = self.pattern[start + 1 : start + 3]
        self.at += 1
        if char == "(":
            return self._group("@", ")", start, depth)
        if char in "@?*+!^" and following.startswith("("):
            self.at += 1
            return self._group(char, ")", start, depth)
        if char == "{":
            return self._group("{", "}", start, depth)
        if char == "[":
            return self._chars(start)
        if char == "?":
            return NOT_SLASH
        if char == "*":
            # `**(a)` is a star before the group `*(a)`
            if following.startswith("*") and following != "*(":
                self.at += 1
                return Star(ANYTHING)
            return Star(NOT_SLASH)
        if char == "\\":
            if not following:
                raise self._refusal(start, "a backslash at the end escapes nothing")
            self.at += 1
            return Text(following[0])
        return Text(char)

    def _group(self, kind: str, close: str, start: int, depth: int) -> Group:
        if kind == "^":
            raise self._refusal(start, "there is no ^(..); write !(..)")
        if depth == MAX_DEPTH:
            raise self._refusal(start, f"groups are nested more than {MAX_DEPTH} deep")
        separator = "," if close == "}" else "|"
        choices = [self._sequence(separator + close, depth + 1)]
        while self.pattern[self.at : self.at + 1] == separator:
            self.at += 1
            choices.append(self._sequence(separator + close, depth + 1))
        if self.at == len(self.pattern):
            raise self._refusal(start, f"the group that opens here is never closed by {close}")
        self.at += 1
        self._negation_closed = self._negation_closed or kind == "!"
        return Group(kind, tuple(choices))

    def _chars(self, start: int) -> Chars:
        chars: list[str] = []
        negated = False
        while (char := self.pattern[self.at : self.at + 1]) != "]":
            self.at += 1
            if not char:
                raise self._refusal(start, "the [ is never closed by ]")
            if char in "!^" and not negated:
                negated = True
            elif char == "[" and (name := self._posix_name()):
                negated = negated or name.startswith("^")
                chars.extend(_POSIX[name.lstrip("^")])
            elif char == "\\":
                chars.append(self.pattern[self.at : self.at + 1])
                self.at += 1
            else:
                chars.append(char)
        self.at += 1
        return Chars(self._ranges(chars, start), negated)

    def _posix_name(self) -> str:
        """Step over the rest of `[:alpha:]`, if that is what follows, and return its name."""
        found = _POSIX_NAME.match(self.pattern, self.at)
        if not found:
            return ""
        self.at = found.end()
        return found[1]

    def _ranges(self, chars: list[str], start: int) -> tuple[tuple[str, str], ...]:
        if not chars:
            raise self._refusal(start, "the brackets hold no character")
        ranges = []
        at = 0
        while at < len(chars):
            low = high = chars[at]
            if chars[at + 1 : at + 2] == ["-"] and at + 2 < len(chars):
                high = chars[at + 2]
                at += 2
            if high < low:
                raise self._refusal(start, f"the range {low}-{high} runs backwards")
            ranges.append((low, high))
            at += 1
        return tuple(ranges)

    def _refusal(self, at: int, why: str) -> Refused:
        message = f"glob ({self.pattern}) invalid: character {at + 1}: {why}"
        return Refused(message, hint="put a backslash before a character that is meant literally")
