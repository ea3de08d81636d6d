"""Show what is wrong with a spec: where, what was found and wanted, the line, and the line as it should be.

lint shows all of it on the output; create and update end with it, as an error of several lines.

Read next: pachlet/spec/lint.py (who finds it), verbs/lint.py, verbs/specs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pachlet.cli.output import coloured
from pachlet.cli.session import Session
from pachlet.errors import InvalidArgument

if TYPE_CHECKING:
    from pachlet.spec.lint import Linted
    from pachlet.spec.problems import Problem

_MANY = 20  # problems that create and update show of a file
_WIDE = 120  # columns of a line that is shown whole
_AROUND = 50  # columns that are shown around a place in a longer one
_FEW = 8  # lines that are shown of what a repair changes


class Mistakes(InvalidArgument):
    """A spec is not what it should be, at one place or several."""

    def __init__(self, message: str, *, hint: str, lines: Sequence[str]) -> None:
        super().__init__(message, hint=hint)
        self.lines = tuple(lines)
        """What is to be shown after the first line."""


def mistakes(session: Session, linted: Linted, problems: Sequence[Problem], *, source: str) -> Mistakes:
    """Return an error that shows problems of a file, at least one; `source` is how lint could mend it."""
    first, *others = problems
    lines = list(_place(linted, first))
    for problem in others[: _MANY - 1]:
        lines += block(session, linted, problem)
    if len(problems) > _MANY:
        lines.append(f"{linted.filename}: {len(problems) - _MANY} more mistakes")
    if source and any(problem.edits for problem in problems):
        mends = "it" if len(problems) == 1 else "what has a plain meaning"
        lines.append(f"`{session.program} lint --fix {source}` mends {mends}")
    return Mistakes(str(first), hint=first.hint, lines=lines)


def block(session: Session, linted: Linted, problem: Problem, *, named: bool = False) -> Iterator[str]:
    """Yield the lines that show one problem; with its severity and its rule, if it is to be `named`."""
    sentence = f"{problem.sentence}; {problem.hint}" if problem.hint else problem.sentence
    if named:
        colour = "red" if problem.rule.severity == "error" else "yellow"
        sentence = f"{coloured(session, colour, problem.rule.severity)}: {sentence} [{problem.rule.name}]"
    yield f"{problem.filename}:{problem.at}: {sentence}"
    yield from _place(linted, problem)


def as_data(linted: Linted, problem: Problem) -> dict[str, Any]:
    """Return one problem for editors and other programs; offsets are in characters."""
    from pachlet.spec.positions import Lines

    lines = Lines(linted.text)
    end = lines.position(problem.span[1]) if problem.span != (0, 0) else problem.at
    data = {
        "file": problem.filename,
        "line": problem.at.line,
        "column": problem.at.column,
        "end_line": end.line,
        "end_column": end.column,
        "path": problem.path,
        "severity": problem.rule.severity,
        "rule": problem.rule.name,
        "message": problem.problem,
        "hint": problem.hint,
    }
    if problem.edits:
        data["fix"] = [{"start": edit.start, "end": edit.end, "text": edit.text} for edit in problem.edits]
    return data


def _place(linted: Linted, problem: Problem) -> Iterator[str]:
    """Yield the line of a problem with a mark under it, and the lines as they should be."""
    from pachlet.spec.mend import mended_lines
    from pachlet.spec.positions import printable

    lines = linted.text.split("\n", problem.at.line)
    line = lines[problem.at.line - 1] if problem.at.line <= len(lines) else ""
    if line.strip():
        column = problem.at.column - 1
        length = max(min(problem.span[1] - problem.span[0], len(line) - column), 1)
        begin = 0 if len(line) <= _WIDE else max(column - _AROUND, 0)
        shown = line[begin : begin + _WIDE].replace("\t", " ").rstrip()
        mark = "^" * min(length, _WIDE - (column - begin))
        yield f"    {printable(shown)}"
        yield f"    {' ' * (column - begin)}{mark}"
    for mended in mended_lines(linted.text, problem)[:_FEW]:
        yield f"  + {printable(mended.replace(chr(9), ' '))[:_WIDE]}"
