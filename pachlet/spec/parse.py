"""Turn the text of a file into specs, or into one error that says where and what.

A file holds one spec, several YAML documents, or a list of specs, in JSON or YAML. Its name says which;
without a telling name, a text that begins with a bracket is JSON.

Read next: json_reader.py, yaml_reader.py, check.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from pachlet.spec.check import Checker
from pachlet.spec.fields import SPEC
from pachlet.spec.json_reader import read_json
from pachlet.spec.positions import START, Lines, List, Node, Position, SpecError
from pachlet.spec.yaml_reader import read_yaml

_EXAMPLE = '{"pipeline": {"name": "edges"}, "transform": {...}, "input": {...}}'


@dataclass(frozen=True)
class Spec:
    """One pipeline as its user wrote it, in the schema's spelling."""

    json: dict[str, Any]
    filename: str
    places: Mapping[str, Position]

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
    specs = [
        _spec(node, filename)
        for document in _read(_decode(text, filename), filename)
        for node in (document.items if isinstance(document, List) else [document])
    ]
    if not specs:
        raise SpecError(
            filename, START, "", "found nothing, wanted a pipeline's spec", hint=f"such as {_EXAMPLE}"
        )
    return specs


def canonical(value: Mapping[str, Any], filename: str = "request", message: str = SPEC) -> dict[str, Any]:
    """Return an object of a client in the schema's spelling: pipeline names need not be there."""
    (node,) = read_json(json.dumps(value), filename)
    return Checker(filename).check_object(node, message, "")


def _decode(text: str | bytes, filename: str) -> str:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        problem = f"found the byte 0x{data[error.start]:02x}, wanted text in UTF-8"
        at = Lines(before).position(len(before))
        raise SpecError(filename, at, "", problem, hint="save the file as UTF-8") from None


def _read(text: str, filename: str) -> list[Node]:
    ending = PurePath(filename).suffix.lower()
    is_json = (
        text.lstrip()[:1] in ("{", "[") if ending not in (".yaml", ".yml", ".json") else ending == ".json"
    )
    return read_json(text, filename) if is_json else read_yaml(text, filename)


def _spec(node: Node, filename: str) -> Spec:
    checker = Checker(filename)
    spec = Spec(checker.check_object(node, SPEC, ""), filename, checker.places)
    pipeline = spec.json.get("pipeline")
    if pipeline is None:
        raise spec.error(
            "pipeline", "found nothing, wanted the pipeline's name", hint='"pipeline": {"name": "edges"}'
        )
    if not pipeline.get("name"):
        raise spec.error("pipeline.name", "found nothing, wanted the pipeline's name", hint='such as "edges"')
    return spec
