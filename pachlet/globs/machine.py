"""Match a glob's parts on a machine that can't run away.

A backtracking matcher takes exponential time for patterns like `*(*(a))b`. This one remembers each pair of
instruction and position that it has tried: what failed once from there fails again, so it tries each only
once. As it tries in the order in which a backtracking matcher would, the groups capture the same.

Read next: glob.py (which patterns come here), pattern.py (the parts).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pachlet.globs.pattern import NOT_SLASH, Chars, Group, Node, Star, Text


@dataclass(frozen=True)
class Read:
    """Step over one such character, or fail."""

    chars: Chars


@dataclass(frozen=True)
class Fork:
    """Go on at `first` or, if that fails, at `second`."""

    first: int
    second: int


@dataclass(frozen=True)
class Mark:
    """Remember the position: slot 2n opens the n-th group, 2n + 1 closes it."""

    slot: int


@dataclass(frozen=True)
class Refuse:
    """Go on at `then`, but fail if the instructions up to there accept from here."""

    then: int


@dataclass(frozen=True)
class Accept:
    """Succeed, if need be only at the end."""

    at_end: bool


Instruction = Read | Fork | Mark | Refuse | Accept


def machine_matcher(
    sequence: Sequence[Node], refuses_to_end: bool
) -> Callable[[str], tuple[str, ...] | None]:
    """Return a function that matches a whole path and returns its captures, or None."""
    assembler = _Assembler(refuses_to_end)
    assembler.add_sequence(sequence)
    assembler.program.append(Accept(at_end=True))

    def groups(path: str) -> tuple[str, ...] | None:
        marks = _run(assembler.program, 0, path, 0)
        if marks is None:
            return None
        return tuple(path[marks.get(2 * n, 0) : marks.get(2 * n + 1, 0)] for n in range(assembler.groups))

    return groups


class _Assembler:
    """Turns parts into a program."""

    def __init__(self, refuses_to_end: bool) -> None:
        self.program: list[Instruction] = []
        self.groups = 0
        self.refuses_to_end = refuses_to_end

    def add_sequence(self, sequence: Sequence[Node]) -> None:
        for node in sequence:
            self._add_node(node)

    def _add_node(self, node: Node) -> None:
        match node:
            case Text(text):
                self.program += [Read(Chars(((char, char),))) for char in text]
            case Chars():
                self.program.append(Read(node))
            case Star(of):
                self._add_repeat(lambda: self.program.append(Read(of)))
            case Group("{", choices):
                self._add_choices(choices)
            case Group(kind, choices):
                slot = 2 * self.groups
                self.groups += 1
                self.program.append(Mark(slot))
                self._add_captured(kind, choices)
                self.program.append(Mark(slot + 1))

    def _add_captured(self, kind: str, choices: Sequence[Sequence[Node]]) -> None:
        if kind == "!":
            refuse = self._reserve()
            self._add_choices(choices)
            self.program.append(Accept(self.refuses_to_end))
            self.program[refuse] = Refuse(len(self.program))
            self._add_repeat(lambda: self.program.append(Read(NOT_SLASH)))
        elif kind == "*":
            self._add_repeat(lambda: self._add_choices(choices))
        elif kind == "?":
            fork = self._reserve()
            self._add_choices(choices)
            self.program[fork] = Fork(fork + 1, len(self.program))
        else:
            start = len(self.program)
            self._add_choices(choices)
            if kind == "+":
                self.program.append(Fork(start, len(self.program) + 1))

    def _add_choices(self, choices: Sequence[Sequence[Node]]) -> None:
        ends = []
        for choice in choices[:-1]:
            fork = self._reserve()
            self.add_sequence(choice)
            ends.append(self._reserve())
            self.program[fork] = Fork(fork + 1, len(self.program))
        self.add_sequence(choices[-1])
        for end in ends:
            self.program[end] = Fork(len(self.program), len(self.program))

    def _add_repeat(self, add_body: Callable[[], None]) -> None:
        fork = self._reserve()
        add_body()
        # Not back to the fork, which was tried from here if the body has read nothing: then the repeat is over.
        self.program.append(Fork(fork + 1, len(self.program) + 1))
        self.program[fork] = Fork(fork + 1, len(self.program))

    def _reserve(self) -> int:
        """Keep a place for an instruction that must know what comes after it."""
        self.program.append(Accept(at_end=True))
        return len(self.program) - 1


def _run(program: Sequence[Instruction], start: int, path: str, begin: int) -> dict[int, int] | None:
    """Return the marks of the first way through the program that accepts, or None."""
    tried: set[tuple[int, int]] = set()
    marks: dict[int, int] = {}
    # To try later: an (instruction, position), or a (slot, old mark) to put back before what is below it.
    later: list[tuple[bool, int, int]] = [(True, start, begin)]
    while later:
        is_place, at, position = later.pop()
        if not is_place:
            marks[at] = position
            continue
        while (at, position) not in tried:
            tried.add((at, position))
            match program[at]:
                case Read(chars):
                    if position == len(path) or not chars.has(path[position]):
                        break
                    at, position = at + 1, position + 1
                case Fork(first, second):
                    later.append((True, second, position))
                    at = first
                case Mark(slot):
                    later.append((False, slot, marks.get(slot, 0)))
                    marks[slot] = position
                    at += 1
                case Refuse(then):
                    if _run(program, at + 1, path, position) is not None:
                        break
                    at = then
                case Accept(at_end):
                    if not at_end or position == len(path):
                        return marks
                    break
    return None
