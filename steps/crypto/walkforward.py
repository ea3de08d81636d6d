"""Forecasts that a model would have made, on days that it had not seen.

folds.json says when to refit and which origins each refit may be judged on. A refit sees targets up to its
train_end only; every origin lies at or after it. Changing any price after an origin therefore leaves that
origin's forecast as it was. The residuals, the scores and the choice of model all come from these rows and
never from the fit.

Read next: metrics.py (how they are scored), training.py (who asks).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pachlet.step import BadInput
from steps.crypto.features import Indexes, frames, origins, training_rows
from steps.crypto.forecast import HORIZON, Model, recurse
from steps.crypto.series import Array, Series

Fit = Callable[[Array, Array], Model]


@dataclass(frozen=True)
class Fold:
    """A refit: days are row numbers of the series; origins are first..last, both inclusive."""

    train_end: int
    first: int
    last: int


@dataclass(frozen=True)
class OutOfSample:
    """Forecast and actual log moves: one row per origin in time order, one column per day ahead."""

    origins: Indexes
    forecast: Array
    # NaN where the day has not come yet, or was filled.
    actual: Array
    # The origin's volatility: residual = (actual - forecast) / scale.
    scale: Array
    price: Array
    refits: int

    @property
    def residuals(self) -> Array:
        result: Array = (self.actual - self.forecast) / self.scale[:, None]
        return result


def read_folds(series: Series, folds: dict[str, Any], every: int = 1) -> list[Fold]:
    """Translate the refits' dates to rows; of `every` n only the first refits, and serves them all."""
    try:
        refits = [(item["train_end"], item["test_start"], item["test_end"]) for item in folds["refits"]]
    except (KeyError, TypeError) as error:
        raise BadInput(f"{series.slug}/folds.json lacks {error} in its refits") from error
    result = []
    for start in range(0, len(refits), every):
        group = refits[start : start + every]
        train_end = bisect_right(series.dates, group[0][0]) - 1
        first = max(train_end, bisect_left(series.dates, group[0][1]))
        last = bisect_right(series.dates, group[-1][2]) - 1
        if train_end >= 0 and first <= last:
            result.append(Fold(train_end, first, last))
    return result


def walk_forward(series: Series, folds: list[Fold], fit: Fit, *, lags: int, min_rows: int) -> OutOfSample:
    """Refit at each fold with at least `min_rows` rows and forecast from its observed origins."""
    usable = origins(series, lags)
    usable = usable[series.observed[usable]]
    parts: list[tuple[Indexes, Array]] = []
    taken = -1
    for fold in folds:
        known_frames, known_targets = training_rows(series, lags, fold.train_end)
        # Where two folds claim an origin, the earlier keeps it: no origin is scored twice.
        at = usable[(usable >= max(fold.first, taken + 1)) & (usable <= fold.last)]
        if len(known_targets) < min_rows or not len(at):
            continue
        taken = fold.last
        model = fit(known_frames, known_targets)
        parts.append((at, recurse(model, frames(series, lags, at), series.vol[at])))
    at = np.concatenate([part for part, _ in parts]) if parts else np.empty(0, dtype=np.int64)
    forecast = np.concatenate([path for _, path in parts]) if parts else np.empty((0, HORIZON))
    return judge(series, at, forecast, refits=len(parts))


def judge(series: Series, at: Indexes, forecast: Array, *, refits: int) -> OutOfSample:
    """Set beside each forecast what happened, as far as it is known and was observed."""
    actual = np.full(forecast.shape, np.nan)
    for day in range(1, forecast.shape[1] + 1):
        come = np.flatnonzero(at + day < len(series))
        come = come[series.observed[at[come] + day]]
        actual[come, day - 1] = series.log_close[at[come] + day] - series.log_close[at[come]]
    return OutOfSample(at, forecast, actual, series.vol[at], np.exp(series.log_close[at]), refits)
