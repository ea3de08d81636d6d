"""Describe specs to editors and other programs, as a JSON Schema made from the wire schema.

It is draft 7, which every editor reads. It says what a schema can: fields, kinds, words; what depends on several
fields (a name used twice, a group that a glob lacks) is lint's.

Read next: fields.py, field_words.py, lint.py.
"""

from __future__ import annotations

from typing import Any

from pachlet.paths import PIPELINE_NAME_MAX
from pachlet.spec.defaults import BUILT_IN
from pachlet.spec.field_words import WORDS
from pachlet.spec.fields import SPEC, Field, fields

_DURATION = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_KINDS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "number": {"type": "number"},
    "duration": {"type": "string", "pattern": _DURATION, "examples": ["90s"]},
    "time": {"type": "string", "pattern": _TIME, "examples": ["2026-01-31T08:00:00Z"]},
}
_EXACT = 2**53  # beyond this, programs that read JSON lose digits

Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the schema of a file of specs: one, or a list of them."""
    definitions: dict[str, Schema] = {}
    spec = _reference(SPEC, definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Pachyderm pipeline specs",
        "description": "One pipeline spec of Pachyderm 2.x, or a list of them.",
        # A list is told apart by its type, so that an editor's complaint is about the one that was meant.
        "if": {"type": "array"},
        "then": {"type": "array", "minItems": 1, "items": spec},
        "else": spec,
        "definitions": definitions,
    }


def _reference(message: str, definitions: dict[str, Schema]) -> Schema:
    """Return a reference to the schema of a message, which is added to the definitions."""
    name = _name(message)
    if name not in definitions:
        definitions[name] = {}  # a message may hold itself
        definitions[name].update(_object(message, definitions))
    return {"$ref": f"#/definitions/{name}"}


def _name(message: str) -> str:
    return "Spec" if message == SPEC else message.partition(".")[2]


def _object(message: str, definitions: dict[str, Schema]) -> Schema:
    properties: Schema = {}
    others: Schema = {}
    for name, known in fields(message).items():
        if name == known.name:
            words = {"description": WORDS[message][name]}
            properties[name] = {**words, **_field(message, known, definitions)}
        else:  # accepted, but not what an editor should suggest
            place = f"{_name(message)}/properties/{known.name}"
            others[f"^{name}$"] = {"$ref": f"#/definitions/{place}"}
    described: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**described, **({"patternProperties": others} if others else {}), **_more(message)}


def _more(message: str) -> Schema:
    """Return what a message asks of its fields together."""
    if message == SPEC:
        return {"required": ["pipeline"]}
    if message == "pps_v2.Pipeline":
        return {"required": ["name"]}
    return {"maxProperties": 1, "minProperties": 1} if message == "pps_v2.Input" else {}


def _field(message: str, known: Field, definitions: dict[str, Schema]) -> Schema:
    held = _value(message, known, definitions)
    if known.is_map:
        held = {"type": "object", "additionalProperties": held}
    elif known.repeated:
        held = {"type": "array", "items": held}
    required = (message, known.name) in ((SPEC, "pipeline"), ("pps_v2.Pipeline", "name"))
    # null takes a default away, so any field may be null.
    return held if required else {"anyOf": [held, {"type": "null"}]}


def _value(message: str, known: Field, definitions: dict[str, Schema]) -> Schema:
    if known.kind == "object":
        return {"allOf": [_reference(known.message, definitions)]}  # beside a $ref nothing else counts
    if known.kind == "enum":
        return {"enum": [*known.values, *range(len(known.values))]}
    if known.kind == "integer":
        limits = {"minimum": max(known.lowest, -_EXACT), "maximum": min(known.highest, _EXACT)}
        sign = "" if known.lowest == 0 else "-?"
        return {
            "anyOf": [{"type": "integer", **limits}, {"type": "string", "pattern": f"^{sign}[0-9]{{1,20}}$"}]
        }
    return {**_KINDS[known.kind], **_words(message, known)}


def _words(message: str, known: Field) -> Schema:
    """Return what a string must be like, where its kind does not say it."""
    match message, known.name:
        case "pps_v2.Pipeline", "name":
            return {"pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]*$", "maxLength": PIPELINE_NAME_MAX}
        case "pps_v2.CreatePipelineRequest", "reprocess_spec":
            return {"enum": ["", "until_success", "every_job"], "default": BUILT_IN["reprocess_spec"]}
        case "pps_v2.Service", "type":
            return {"enum": ["", "ClusterIP", "LoadBalancer", "NodePort"]}
    return {}
