"""Load a model as its card describes it, and let it say its path from a coin's newest day.

Read next: forecast.py (the recursion), predict.py (who asks).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib

from pachlet.step import BadInput
from steps.crypto import global_models  # noqa: F401 (the stored global models are of its classes)
from steps.crypto.cards import file_sha256
from steps.crypto.feature_groups import groups_of, market_in, show
from steps.crypto.features import origins
from steps.crypto.forecast import Model, recurse
from steps.crypto.lstm_forward import load_weights
from steps.crypto.naive import DRIFT, NAIVE
from steps.crypto.series import Array, Series

UNFITTED = {family.name: family.paths for family in (NAIVE, DRIFT)}


def log_moves(series: Series, card: dict[str, Any], folder: Path) -> Array:
    """The log moves from the last price that a model expects, one a day ahead."""
    lags = card["params"]["lags"]
    newest = origins(series, lags)[-1:]
    if not len(newest) or newest[0] != len(series) - 1:
        raise BadInput(f"{series.slug}: too few days to show {folder.name} a frame of {lags} returns")
    path = checked(card, folder)
    if paths := UNFITTED.get(card["family"]):
        return paths(series, newest, card["params"])[0]
    shown = show(series, lags, newest, groups_of(card["params"]), market_in(card))
    model = load_model(card["family"], path)
    return recurse(model, shown.lags, series.vol[newest], beside=shown.beside)[0]


def checked(card: dict[str, Any], folder: Path) -> Path:
    """The model's file, once it is seen to be the one that its card describes."""
    path = folder / card["model"]["file"]
    if file_sha256(path) != card["model"]["sha256"]:
        raise BadInput(f"{place(path)} is not the file that its card describes: the digests differ")
    return path


def load_model(family: str, path: Path) -> Model:
    """Read a fitted model's file."""
    if family == "lstm":
        return load_weights(path)
    if family in ("linear", "svm", "boosting", "global"):
        model: Model = joblib.load(path)
        return model
    raise BadInput(f"{place(path)}: predict knows no family {family!r}")


def place(path: Path) -> str:
    return "/".join(path.parts[-3:])
