"""Turn the text of a file into specs, or into one error that says where and what.

A file holds one spec, several YAML documents, or a list of specs, in JSON or YAML. Its name says which;
without a telling name, a text that begins with a bracket is JSON.

Read next: json_reader.py, yaml_reader.py, check.py; lint.py (all errors, not the first).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pachlet.errors import InvalidArgument
from pachlet.spec.check import Checker
from pachlet.spec.fields import SPEC
from pachlet.spec.json_reader import read_json
from pachlet.spec.positions import START, Lines, List, Node, Object, Position, SpecError
from pachlet.spec.problems import Findings
from pachlet.spec.source import Source

_EXAMPLE = '{"pipeline": {"name": "edges"}, "transform": {...}, "input": {...}}'


@dataclass(frozen=True)
class Spec:
    """One pipeline as its user wrote it, in the schema's spelling."""

    json: dict[str, Any]
    filename: str
    places: Mapping[str, Position]
    nodes: Mapping[str, Node]

    def where(self, path: str) -> Position:
        """Return where a field such as `transform.cmd[0]` stands; the nearest one around it, if it is not
        there."""
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places[path]

    def error(self, path: str, problem: str, *, hint: str = "") -> SpecError:
        """Return an error at a field, for checks that come later."""
        return SpecError(self.filename, self.where(path), path, problem, hint=hint)


def parse_specs(text: str | bytes, filename: str) -> list[Spec]:
    """Return the specs in a file, at least one; raise SpecError whatever else it holds."""
    findings = Findings(filename, strict=True)
    source = read_source(read_text(text, findings), filename)
    nodes = spec_nodes(read_documents(source, findings))
    if not nodes:
        report_nothing(findings)
    return [check_spec(node, source, findings) for node in nodes]


def canonical(value: Mapping[str, Any], filename: str = "request", message: str = SPEC) -> dict[str, Any]:
    """Return an object of a client in the schema's spelling: pipeline names need not be there."""
    return canonical_text(json.dumps(value), filename, message)


def canonical_text(text: str, filename: str, message: str) -> dict[str, Any]:
    """Return the one object that a JSON text holds in the schema's spelling; raise SpecError."""
    findings = Findings(filename, strict=True)
    source = Source(read_text(text, findings), is_json=True)
    nodes = read_json(source.text, findings)
    if len(nodes) != 1:
        raise InvalidArgument(f"{filename}: found {len(nodes)} values, wanted one object")
    return Checker(findings, source).check_object(nodes[0], message, "")


def read_text(data: str | bytes, findings: Findings) -> str:
    """Return the text of a file, without its byte order mark; raise SpecError if it is none."""
    content = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        found = "text in UTF-16" if wide else f"the byte 0x{content[error.start]:02x}"
        at = Lines(before).position(len(before))
        findings.fail(
            "encoding", at, "", f"found {found}, wanted text in UTF-8", hint="save the file as UTF-8"
        )


def read_source(text: str, filename: str) -> Source:
    """Return a text with its format: by the name of its file or, failing that, by how it begins."""
    ending = PurePath(filename).suffix.lower()
    begins = text.lstrip()[:1] in ("{", "[")
    return Source(text, is_json=begins if ending not in (".yaml", ".yml", ".json") else ending == ".json")


def read_documents(source: Source, findings: Findings) -> list[Node]:
    """Return the documents in a text; raise SpecError where it can't be read on."""
    if source.is_json:
        return read_json(source.text, findings)
    from pachlet.spec.yaml_reader import read_yaml  # which takes a fifth of a short command's time to import

    return read_yaml(source.text, findings)


def spec_nodes(documents: list[Node]) -> list[Node]:
    """Return what should be a spec each: the documents, or what is in them if they are lists."""
    return [
        node
        for document in documents
        for node in (document.items if isinstance(document, List) else [document])
    ]


def check_spec(node: Node, source: Source, findings: Findings) -> Spec:
    """Return a spec with its fields in one spelling; report what is wrong with it."""
    checker = Checker(findings, source)
    spec = Spec(checker.check_object(node, SPEC, ""), findings.filename, checker.places, checker.nodes)
    if isinstance(node, Object):
        _check_name(spec, findings)
    return spec


def _check_name(spec: Spec, findings: Findings) -> None:
    pipeline = spec.json.get("pipeline")
    problem = "found nothing, wanted the pipeline's name"
    if pipeline is None:
        hint = '"pipeline": {"name": "edges"}'
        findings.report("pipeline-name", spec.where("pipeline"), "pipeline", problem, hint=hint)
    elif not pipeline.get("name") and isinstance(spec.nodes.get("pipeline"), Object):
        at = spec.where("pipeline.name")
        findings.report("pipeline-name", at, "pipeline.name", problem, hint='such as "edges"')


def report_nothing(findings: Findings) -> None:
    """Report a file without a spec."""
    problem = "found nothing, wanted a pipeline's spec"
    findings.report("no-spec", START, "", problem, hint=f"such as {_EXAMPLE}")
