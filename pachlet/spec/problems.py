"""What is wrong with a file: each problem with its place and, where that is known, the edits that mend it.

Readers and checks report to the findings of a file and go on. Those of a server are strict: the first problem
is the answer, as an error. Those of lint collect.

Read next: rules.py (what is looked for), source.py (who makes edits), mend.py (who applies them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from pachlet.spec.positions import Position, Span, SpecError, printable, short_path
from pachlet.spec.rules import RULES, Rule

MOST = 1000  # problems of a file: who has more has another kind of file


@dataclass(frozen=True)
class Edit:
    """Put a text in place of what stands between two offsets."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at one place."""

    rule: Rule
    filename: str
    at: Position
    span: Span
    path: str
    problem: str
    hint: str = ""
    edits: tuple[Edit, ...] = ()

    @property
    def sentence(self) -> str:
        """What was found and what is wanted, at which field."""
        return f"{short_path(self.path)}: {self.problem}" if self.path else self.problem

    def __str__(self) -> str:
        return f"{self.filename}:{self.at}: {self.sentence}"


@dataclass
class Findings:
    """All that is wrong with one file."""

    filename: str
    strict: bool = False
    problems: list[Problem] = field(default_factory=list)

    def report(
        self,
        rule: str,
        at: Position,
        path: str,
        problem: str,
        *,
        span: Span = (0, 0),
        hint: str = "",
        edits: Sequence[Edit] = (),
    ) -> None:
        """Note a problem; raise it, if the first one is the answer."""
        if self.strict or len(self.problems) >= MOST:
            raise SpecError(self.filename, at, path, problem, hint=hint)
        told = printable(problem), printable(hint)
        self.problems.append(Problem(RULES[rule], self.filename, at, span, path, *told, tuple(edits)))

    def fail(
        self, rule: str, at: Position, path: str, problem: str, *, span: Span = (0, 0), hint: str = ""
    ) -> NoReturn:
        """Note a problem after which nothing more can be read, and raise it."""
        self.report(rule, at, path, problem, span=span, hint=hint)
        raise SpecError(self.filename, at, path, problem, hint=hint)
