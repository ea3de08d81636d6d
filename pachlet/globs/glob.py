"""The glob language: patterns that pick files and directories, with groups that joins and groups key on.

The language is Pachyderm's: `*` and `?` stop at "/", `**` does not, `[a-z]` and `[!a]` are one character,
`{a,b}` is a choice, and `(..) @(..) ?(..) *(..) +(..) !(..)` are choices that are captured as well, numbered
by where they open. A pattern is first cleaned like a path. "/" is the root alone, "/*" its children, "/**"
all that is below it but not itself.

Upstream's oddities are kept where they decide which files match, so that a spec makes the same datums here.
`[!a]` matches "/" too. What `!(..)` refuses is the whole rest of the path if no text or star follows it, else
any beginning: `/!(a)/b` does not match "/ab/b".

Python's `re` does the work for tame patterns. The others, on which it could take for ever, run on a small
machine whose time is bounded, so that no pattern can hang the server.

Read next: pattern.py (how a glob is read), machine.py, pps/datums.py (globs make datums).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pachlet.globs.machine import machine_matcher
from pachlet.globs.pattern import Chars, Group, Node, Parser, Star, Text
from pachlet.paths import clean_path

# A pattern is left to `re` if one way through it meets at most so many stars (at worst, time then grows with
# the cube of a path's length) and if there are at most so many ways.
TAME_STARS = 3
TAME_WAYS = 64

_REFERENCE = re.compile(r"\$(?:(\$)|(\d+)|\{(\d+)\})", re.ASCII)


class Glob:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        """Compile a pattern; one that can't be read is refused with the place and the reason."""
        self.pattern = clean_path(pattern)
        parser = Parser(self.pattern)
        sequence = parser.parse()
        self.literal_prefix = _literal_prefix(sequence)
        self.group_count = _captured(sequence)
        if _stars(sequence) <= TAME_STARS and _ways(sequence) <= TAME_WAYS:
            self._groups = regex_matcher(sequence, parser.refuses_to_end)
        else:
            self._groups = machine_matcher(sequence, parser.refuses_to_end)

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"

    def match(self, path: str) -> tuple[str, ...] | None:
        """Return what the groups captured, or None if the path does not match.

        A group that took no part captures "". A directory may be given with its trailing slash.
        """
        if self.pattern == "/":
            return () if path == "/" else None
        return self._groups(path.rstrip("/"))

    def replace(self, path: str, template: str) -> str:
        """Fill `$1` and `${1}` of the template with what the groups captured.

        `$0` is the path, `$$` a dollar; a group that is not there fills in nothing.
        """
        groups = self.match(path)
        captured = () if groups is None else (path.rstrip("/"), *groups)

        def fill(reference: re.Match[str]) -> str:
            if reference[1]:
                return "$"
            number = reference[2] or reference[3]
            return captured[int(number)] if len(number) < 9 and int(number) < len(captured) else ""

        return _REFERENCE.sub(fill, template)


def _literal_prefix(sequence: Sequence[Node]) -> str:
    """Return what every match begins with, for range scans."""
    return sequence[0].text if sequence and isinstance(sequence[0], Text) else ""


def _captured(sequence: Sequence[Node]) -> int:
    """Count the groups that capture, those within groups as well."""
    groups = [node for node in sequence if isinstance(node, Group)]
    return sum((group.kind != "{") + sum(map(_captured, group.choices)) for group in groups)


def _stars(sequence: Sequence[Node]) -> int:
    """Count the stars that one way through the pattern can meet; a repeated group may meet them for ever."""
    count = 0
    for node in sequence:
        if isinstance(node, Star):
            count += 1
        elif isinstance(node, Group):
            count += max(map(_stars, node.choices))
            count += {"!": 1, "*": TAME_STARS + 1, "+": TAME_STARS + 1}.get(node.kind, 0)
    return count


def _ways(sequence: Sequence[Node]) -> int:
    """Count the ways through the choices of a pattern."""
    count = 1
    for node in sequence:
        if isinstance(node, Group):
            count *= sum(map(_ways, node.choices)) + (node.kind == "?")
    return count


_Matcher = Callable[[str], tuple[str, ...] | None]


def regex_matcher(sequence: Sequence[Node], refuses_to_end: bool) -> _Matcher:
    end = r"\Z" if refuses_to_end else ""
    compiled = re.compile(_regex(sequence, end), re.DOTALL)

    def groups(path: str) -> tuple[str, ...] | None:
        found = compiled.fullmatch(path)
        return None if found is None else found.groups("")

    return groups


def _regex(sequence: Sequence[Node], end: str) -> str:
    return "".join(_regex_node(node, end) for node in sequence)


def _regex_node(node: Node, end: str) -> str:
    match node:
        case Text(text):
            return re.escape(text)
        case Chars():
            return _regex_chars(node)
        case Star(of):
            return _regex_chars(of) + "*"
        case Group(kind, choices):
            inner = [_regex(choice, end) for choice in choices]
            if kind == "!":
                return f"((?!(?:{'|'.join(choice + end for choice in inner)}))[^/]*)"
            choice = f"(?:{'|'.join(inner)})"
            return choice if kind == "{" else f"({choice}{'' if kind == '@' else kind})"


def _regex_chars(chars: Chars) -> str:
    if not chars.ranges:
        return "."
    ranges = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in chars.ranges)
    return f"[{'^' if chars.negated else ''}{ranges}]"
