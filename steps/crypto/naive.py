"""The naive and the drift family: tomorrow is today, or today and the average move so far.

There is nothing to fit, yet they are models like the others: they have a file with a digest and a card. Every
other model is measured against naive, and ten days ahead none of them is reliably better (Hyndman & Athanasopoulos,
Forecasting: Principles and Practice, 3rd ed., 5.2: simple methods).

Read next: train_naive.py, verdict.py (when another model is shown).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from steps.crypto.family import Family, Params
from steps.crypto.features import Indexes
from steps.crypto.forecast import HORIZON, Model
from steps.crypto.formats import write_json
from steps.crypto.series import Array, Series


@dataclass(frozen=True)
class Naive:
    """The model that expects no move."""

    def predict(self, frames: Array) -> Array:
        return np.zeros(len(frames))


def fit(frames: Array, targets: Array, params: Params) -> Model:
    return Naive()


def save(model: Model, path: Path) -> None:
    write_json(path, {"schema": "crypto.naive/1"})


def flat(series: Series, at: Indexes, params: Params) -> Array:
    return np.zeros((len(at), HORIZON))


def average_move(series: Series, at: Indexes, params: Params) -> Array:
    """Go on as the last `days` days did on average; 0 means all that there are."""
    days = np.minimum(at, params["days"]) if params["days"] else at
    slope = (series.log_close[at] - series.log_close[at - days]) / np.maximum(days, 1)
    path: Array = slope[:, None] * np.arange(1, HORIZON + 1)
    return path


# Every usable coin gets at least the naive forecast, hence the few residuals.
NAIVE = Family(
    name="naive",
    fields={"lags": int, "min_rows": int},
    libraries=("numpy",),
    file="model.json",
    fit=fit,
    save=save,
    paths=flat,
    min_residuals=10,
)
DRIFT = Family(
    name="drift",
    fields={"lags": int, "days": int, "min_rows": int},
    libraries=("numpy",),
    file="model.json",
    fit=fit,
    save=save,
    paths=average_move,
)
