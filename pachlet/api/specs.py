"""Read the specs of pipelines out of requests: out of messages (2.7 and later) or out of JSON (2.8 and later).

Read next: pipeline_service.py, pachlet/spec/parse.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from pachlet.errors import InvalidArgument
from pachlet.spec.parse import parse_specs

_NOT_SPEC = ("update", "reprocess", "dry_run", "spec_commit")


def as_json(message: Any) -> dict[str, Any]:
    """Return a spec, or a part of one, as JSON with the schema's field names."""
    try:
        found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (json_format.Error, ValueError) as error:  # a duration or time that no one can write down
        raise InvalidArgument(f"could not make effective spec: {error}") from None
    return found


def parse_one(text: str) -> dict[str, Any]:
    """Return the one spec that a text holds."""
    specs = parse_specs(text, "request.json")
    if len(specs) != 1:
        raise InvalidArgument(f"could not make effective spec: found {len(specs)} specs, wanted one")
    return only_spec(specs[0].json)


def only_spec(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a request what is no part of the spec."""
    return {key: value for key, value in found.items() if key not in _NOT_SPEC}
