"""What checks of a spec's meaning share: a spec, and a way to say what is wrong with one of its fields.

Read next: meaning.py and meaning_inputs.py (the checks), problems.py (where it goes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pachlet.errors import PachletError
from pachlet.spec.parse import Spec
from pachlet.spec.positions import List, Object, Value, found, quoted
from pachlet.spec.problems import Edit, Findings, Problem
from pachlet.spec.source import Source


@dataclass(frozen=True)
class Remarks:
    """Says what is wrong with a spec whose fields are of the right kind."""

    spec: Spec
    source: Source
    findings: Findings

    def say(self, rule: str, path: str, problem: str, *, hint: str = "", edits: Sequence[Edit] = ()) -> None:
        """Report a problem with a field, or with what should hold it where it is missing.

        What can't be read is not there either, so a field that was reported as wrong is not reported as missing.
        """
        if any(_covers(each, path) for each in self.findings.problems):
            return
        node = self.spec.nodes.get(path)
        at = node.at if isinstance(node, Value) else self.spec.where(path)
        span = node.span if node is not None and not isinstance(node, List | Object) else (0, 0)
        self.findings.report(rule, at, path, problem, span=span, hint=hint, edits=edits)

    def wanted(self, rule: str, path: str, wanted: str, *, hint: str = "", meant: Any = None) -> None:
        """Report what was found at a field, and what should be there; mend it if it is known what was meant."""
        node = self.spec.nodes.get(path)
        shown = found(node) if node is not None else "nothing"
        edits = self.source.replace(node, meant) if node is not None and meant is not None else ()
        said = hint or (f"write {quoted(meant)}" if isinstance(meant, str) else "")
        self.say(rule, path, f"found {shown}, wanted {wanted}", hint=said, edits=edits)

    def refused(self, rule: str, path: str, error: PachletError) -> None:
        """Report what another check refused."""
        self.say(rule, path, error.message, hint=error.hint)


def _covers(problem: Problem, path: str) -> bool:
    """Tell whether it follows from a problem that nothing is at a path."""
    if problem.rule.ours or problem.edits:
        return False
    return path == problem.path or (problem.rule.name == "wrong-kind" and path.startswith(f"{problem.path}."))
