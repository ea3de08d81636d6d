"""A model's card: what it is, what made it, how good it is; and the parameters that it was made with.

The card is what later stages and people read instead of opening the model: parameters, rows and last day of
training, scores, interval ends, library versions and the digests of data and model. It is canonical JSON
(sorted keys, no times, no host), so an unchanged result is an unchanged file.

Read next: training.py (who writes it), predict.py (who reads it).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput

CARD = "crypto.card/1"
PARAMS = "crypto.params/1"


def read_fields(
    content: dict[str, Any], name: str, fields: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> dict[str, Any]:
    """Check that an object holds exactly `fields` beside its schema, each of its type; return it.

    Of `optional` fields, those that are there are checked. All that is wrong is told at once.
    """
    known = {**fields, **(optional or {})}
    problems = []
    if unknown := sorted(set(content) - set(known) - {"schema"}):
        problems.append(f"unknown {named(unknown)}; known: {', '.join(sorted(known))}")
    if missing := [field for field in fields if field not in content]:
        problems.append(f"{named(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    problems += [
        problem
        for field, kind in known.items()
        if field in content and (problem := unfit(field, content[field], kind))
    ]
    if problems:
        raise BadInput(f"{name}: {'; '.join(problems)}")
    return content


def named(fields: Sequence[str]) -> str:
    return ("parameter " if len(fields) == 1 else "parameters ") + ", ".join(map(repr, fields))


def unfit(field: str, value: Any, kind: type) -> str:
    """Say what is wrong with a field's value; nothing if it can be used."""
    fits = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (
        kind is bool
    )
    if not fits or (kind in (int, float) and not finite(value)):
        return f"{field!r} must be of type {kind.__name__}, not {value!r}"
    if field in POSITIVE and not value > 0:
        return f"{field!r} must be above 0, not {value!r}"
    if field in AT_LEAST and value < AT_LEAST[field]:
        return f"{field!r} must be at least {AT_LEAST[field]}, not {value!r}"
    return ""


def finite(value: float) -> bool:
    """Say whether a number of a JSON file is one that can be counted with: 1e999 is none."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


# Parameters for which zero or less has no meaning, in whatever family they occur.
POSITIVE = frozenset(
    {
        "lags",
        "min_rows",
        "refit_every",
        "units",
        "epochs",
        "batch",
        "patience",
        "rate",
        "C",
        "points",
        "every",
        "test_days",
        "refit_days",
        "min_train",
    }
    | {
        "trees",
        "leaves",
        "min_leaf",
        "max_rows",
        "gamma",
        "scale",
        "block_days",
        "own_blocks",
        "review_days",
        "boot",
        "min_scored",
    }
)


# The least that has a meaning, of others.
AT_LEAST = {"leaves": 2, **dict.fromkeys(("alpha", "days", "epsilon", "ridge", "seed", "shrink"), 0)}


def lib_versions(modules: tuple[str, ...]) -> dict[str, str]:
    """The versions of the libraries that fitted the model, by import name."""
    return {name: str(import_module(name).__version__) for name in modules}


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digits(value: float | np.floating | None) -> float | None:
    """Ten significant digits: what a score or a price means, without floating-point noise."""
    return None if value is None else float(f"{float(value):.10g}")
