"""Name the fields of a spec that are kept and given back and make no difference on one machine.

Which those are is said once, where each field has its sentence.

Read next: field_words.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pachlet.spec.field_words import STORED, WORDS
from pachlet.spec.fields import SPEC, fields
from pachlet.spec.positions import below


def unheeded_fields(spec: Mapping[str, Any]) -> list[str]:
    """Return the paths of the fields of a spec that are set and not heeded, the outermost only."""
    return list(_unheeded(spec, SPEC, ""))


def _unheeded(part: Mapping[str, Any], message: str, path: str) -> Iterator[str]:
    for name, value in part.items():
        field = fields(message).get(name)
        if field is None or not value:
            continue
        place = below(path, name)
        if WORDS.get(message, {}).get(name, "").endswith(STORED):
            yield place
        elif field.kind == "object" and not field.is_map and isinstance(value, Mapping):
            yield from _unheeded(value, field.message, place)


def warning_of(names: list[str]) -> str:
    """Return the sentence about such fields."""
    return f"kept and given back, but without effect on one machine: {', '.join(names)}"
