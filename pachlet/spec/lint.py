"""Find everything that is wrong with a file of specs, without a server.

What has a plain meaning is reported and read as meant, so that one run finds all there is to find. A spec in
which no error is found is one that create pipeline accepts, as far as that can be known offline.

Read next: rules.py (what is looked for), meaning.py (beyond the schema), mend.py (what can be repaired).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pachlet.errors import Refused
from pachlet.spec.defaults import effective_spec
from pachlet.spec.meaning import check_meaning
from pachlet.spec.parse import (
    Spec,
    check_spec,
    read_documents,
    read_source,
    read_text,
    report_nothing,
    spec_nodes,
)
from pachlet.spec.positions import Node, Object, SpecError
from pachlet.spec.problems import Findings, Problem
from pachlet.spec.remarks import Remarks
from pachlet.spec.source import Source
from pachlet.spec.validate import validate_pipeline


@dataclass(frozen=True)
class Linted:
    """A file's text, its specs as they were meant, and all that is wrong with it, from top to bottom."""

    filename: str
    text: str
    specs: Sequence[Spec]
    problems: Sequence[Problem]
    is_read: bool
    """Whether it could be read to its end; what is wrong after that point is not known otherwise."""

    @property
    def refused(self) -> Sequence[Problem]:
        """What keeps a server from taking the specs."""
        return [each for each in self.problems if not each.rule.ours]

    @property
    def errors(self) -> Sequence[Problem]:
        """All but warnings."""
        return [each for each in self.problems if each.rule.severity == "error"]


def lint(content: str | bytes, filename: str) -> Linted:
    """Return all that is wrong with a file; whatever it holds, nothing is raised."""
    findings = Findings(filename)
    source = Source("", is_json=True)
    specs: list[Spec] = []
    is_read = False
    try:
        source = read_source(read_text(content, findings), filename)
        nodes = spec_nodes(read_documents(source, findings))
        is_read = True
        if not nodes:
            report_nothing(findings)
        specs = [_check(node, source, findings) for node in nodes]
        _check_doubles(specs, source, findings)
    except SpecError:
        pass  # it is among the findings
    problems = sorted(dict.fromkeys(findings.problems), key=lambda each: each.at)
    return Linted(filename, source.text, specs, problems, is_read)


def _check(node: Node, source: Source, findings: Findings) -> Spec:
    spec = check_spec(node, source, findings)
    if not isinstance(node, Object):
        return spec
    check_meaning(Remarks(spec, source, findings))
    if not any(not each.rule.ours for each in findings.problems):
        try:
            validate_pipeline(effective_spec(spec.json, {}, {}))
        except Refused as error:
            findings.report("refused", spec.where(""), "", error.message, hint=error.hint)
    return spec


def _check_doubles(specs: Sequence[Spec], source: Source, findings: Findings) -> None:
    """Report a pipeline that is described twice."""
    seen: dict[tuple[str, str], Spec] = {}
    for spec in specs:
        pipeline = spec.json.get("pipeline") or {}
        name = (pipeline.get("project") or {}).get("name") or "", pipeline.get("name") or ""
        if name[1] and name in seen:
            first = seen[name].where("pipeline.name").line
            problem = f"found {name[1]} again, wanted each pipeline once"
            hint = f"line {first} describes it already; the last one would win"
            Remarks(spec, source, findings).say("same-pipeline", "pipeline.name", problem, hint=hint)
        seen.setdefault(name, spec)
