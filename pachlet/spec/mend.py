"""Repair what is wrong with a file and has a plain meaning, and leave the rest of its text as it is.

Edits are applied together as long as they do not touch each other, and the text is looked at again, until there
is nothing left to repair. An edit after which a file could no longer be read is given up. So mending what was
mended changes nothing.

Read next: lint.py (what is wrong), source.py (the edits).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pachlet.spec.lint import Linted, lint
from pachlet.spec.problems import Edit, Problem

_ROUNDS = 50  # each mends all that is apart from each other; more than a handful is a text made to be hard


@dataclass(frozen=True)
class Mended:
    """A file before and after."""

    before: Linted
    after: Linted

    @property
    def is_changed(self) -> bool:
        return self.before.text != self.after.text

    def diff(self) -> Iterator[str]:
        """Yield the lines of a unified diff."""
        name = self.before.filename
        yield from difflib.unified_diff(
            self.before.text.splitlines(),
            self.after.text.splitlines(),
            name,
            f"{name} (mended)",
            lineterm="",
        )


def mend(content: str | bytes, filename: str) -> Mended:
    """Return a file with all repaired that can be."""
    before = linted = lint(content, filename)
    for _ in range(_ROUNDS):
        better = _mend_once(linted)
        if better is None:
            break
        linted = better
    return Mended(before, linted)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits applied that do not touch each other."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda each: (each.start, each.end)):
        parts += [text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*parts, text[at:]])


def mended_lines(text: str, problem: Problem) -> list[str]:
    """Return the lines that one problem's edits change, as they should be."""
    if not problem.edits:
        return []
    start = text.rfind("\n", 0, min(edit.start for edit in problem.edits)) + 1
    last = max(edit.end for edit in problem.edits)
    end = text.find("\n", last)
    before = text[start : len(text) if end < 0 else end]
    after = apply(before, [Edit(each.start - start, each.end - start, each.text) for each in problem.edits])
    old, new = before.split("\n"), after.split("\n")
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    return [line.rstrip("\r") for line in new]


def _mend_once(linted: Linted) -> Linted | None:
    """Return the text after one round; None if nothing can be repaired."""
    groups = list(_apart(linted.problems))
    if not groups:
        return None
    for chosen in (groups, *([each] for each in groups)):
        text = apply(linted.text, [edit for group in chosen for edit in group])
        if text == linted.text:
            continue
        after = lint(text, linted.filename)
        if after.is_read or not linted.is_read:
            return after
    return None


def _apart(problems: Sequence[Problem]) -> Iterator[tuple[Edit, ...]]:
    """Yield the edits of problems, leaving out those that touch what is changed already."""
    taken: list[tuple[int, int]] = []
    for problem in problems:
        spans = [(edit.start, edit.end) for edit in problem.edits]
        if spans and not any(a <= d and c <= b for a, b in spans for c, d in taken):
            taken += spans
            yield problem.edits
