"""A model's card: what it is, what made it, how good it is; and the parameters that it was made with.

The card is what later stages and people read instead of opening the model: parameters, rows and last day of
training, scores, interval ends, library versions and the digests of data and model. It is canonical JSON
(sorted keys, no times, no host), so an unchanged result is an unchanged file.

Read next: training.py (who writes it), choose.py and predict.py (who read it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput
from steps.crypto.formats import read_json

CARD = "crypto.card/1"
PARAMS = "crypto.params/1"


def read_params(path: Path, family: str, fields: Mapping[str, type]) -> dict[str, Any]:
    """Read a parameter file that must hold exactly `fields` beside schema and family.

    Nothing has a silent default: an unknown family or a misspelt name is refused with a sentence.
    """
    params = read_json(path, PARAMS)
    name = f"params/{path.parent.name}/{path.name}"
    if params.get("family") != family:
        raise BadInput(f'{name}: "family" must be "{family}", not {params.get("family")!r}')
    unknown = sorted(set(params) - set(fields) - {"schema", "family"})
    if unknown:
        raise BadInput(f"{name}: unknown parameter {unknown[0]!r}; known: {', '.join(sorted(fields))}")
    for field, kind in fields.items():
        if field not in params:
            raise BadInput(f"{name}: parameter {field!r} is missing")
        value: Any = params[field]
        fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
        if not fits:
            raise BadInput(f"{name}: {field!r} must be of type {kind.__name__}, not {value!r}")
        if field in POSITIVE and not value > 0:
            raise BadInput(f"{name}: {field!r} must be above 0, not {value!r}")
    return params


# Parameters for which zero or less has no meaning, in whatever family they occur.
POSITIVE = frozenset({"lags", "min_rows", "refit_every", "units", "epochs", "batch", "patience", "rate", "C"})


def lib_versions(modules: tuple[str, ...]) -> dict[str, str]:
    """The versions of the libraries that fitted the model, by import name."""
    return {name: str(import_module(name).__version__) for name in modules}


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digits(value: float | np.floating | None) -> float | None:
    """Ten significant digits: what a score or a price means, without floating-point noise."""
    return None if value is None else float(f"{float(value):.10g}")
