"""Read a policy: what somebody decided and nobody measured, as a file that is versioned like data.

Nothing has a silent default: a name that is missing, misspelt or of the wrong type is refused with a sentence, because
a policy that is not understood must not be followed half.

Read next: trading.py, monitor.py (whose policies these are).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pachlet.step import BadInput
from steps.crypto.formats import read_json


def read_policy(path: Path, schema: str, fields: Mapping[str, type]) -> dict[str, Any]:
    """Read a policy that holds exactly `fields` beside its schema; numbers must not be negative. All faults at once."""
    policy = read_json(path, schema)
    name = f"policy/{path.name}"
    problems = []
    if unknown := sorted(set(policy) - set(fields) - {"schema"}):
        told = ", ".join(map(repr, unknown))
        problems.append(
            f"unknown field{'s' if unknown[1:] else ''} {told}; known: {', '.join(sorted(fields))}"
        )
    if missing := [field for field in fields if field not in policy]:
        problems.append(f"{', '.join(map(repr, missing))} {'are' if missing[1:] else 'is'} missing")
    for field, kind in fields.items():
        value = policy.get(field, 0)
        fits = isinstance(value, (int, float) if kind is float else kind)
        if field in missing:
            continue
        if not fits or isinstance(value, bool) != (kind is bool):
            problems.append(f"{field!r} must be of type {kind.__name__}, not {value!r}")
        elif kind is not bool and value < 0:
            problems.append(f"{field!r} must not be below 0, not {value!r}")
    if problems:
        raise BadInput(f"{name}: {'; '.join(problems)}")
    return policy
