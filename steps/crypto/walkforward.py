"""Forecasts that a model would have made, on days that it had not seen.

folds.json says when to refit and which origins each refit may be judged on. A refit sees targets up to its
train_end only; every origin lies at or after it. Changing any price after an origin therefore leaves that
origin's forecast as it was. The residuals, the scores and the choice of model all come from these rows and
never from the fit.

Read next: backtest.py (who asks), outcome_lines.py (how they are written down).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from pachlet.step import BadInput
from steps.crypto.family import Family, Params
from steps.crypto.feature_groups import PLAIN, groups_of, show, training_rows
from steps.crypto.features import Indexes, origins
from steps.crypto.forecast import HORIZON, Model, recurse
from steps.crypto.rows import Mask, chosen_days
from steps.crypto.series import Array, Series

FitKnown = Callable[[Array, Array], Model]


@dataclass(frozen=True)
class Fold:
    """A refit: days are row numbers of the series; origins are first..last, both inclusive."""

    train_end: int
    first: int
    last: int


class Refit(NamedTuple):
    """A refit in days of the calendar, ISO 8601: the last that it learns from, the first and last origin it serves."""

    train_end: str
    test_start: str
    test_end: str


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


def out_of_sample(series: Series, folds: dict[str, Any], params: Params, family: Family) -> OutOfSample:
    """Let a family forecast every observed origin of the folds; families that are not refitted, all before too."""
    if family.paths is not None:
        at = origins(series, params["lags"])
        at = at[series.observed[at]]
        if (
            "every" in params
        ):  # where each forecast is dear: from the folds, with enough known, every n-th day
            first = max(first_origin(series, folds), params["min_rows"] - 1)
            at = at[(at >= first) & on_rhythm(series, at, params["every"])]
        return judge(series, at, family.paths(series, at, params), refits=0)

    def fit(known_frames: Array, known_targets: Array) -> Model:
        assert family.fit is not None
        return family.fit(known_frames, known_targets, params)

    known = read_folds(series, folds, params["refit_every"])
    asked = {name: params[name] for name in ("lags", "min_rows")}
    chosen = chosen_days(series, params["lags"], params["rows"]) if "rows" in params else None
    return walk_forward(series, known, fit, **asked, groups=groups_of(params), chosen=chosen)


def on_rhythm(series: Series, at: Indexes, every: int) -> Mask:
    """Say which days are on a rhythm of the calendar, which a new day or a day without a quote does not shift."""
    chosen: Mask = (date.fromisoformat(series.dates[0]).toordinal() + at) % every == 0
    return chosen


def first_origin(series: Series, folds: dict[str, Any]) -> int:
    """The first day that forecasts are judged on; after the last day where there is none."""
    known = read_folds(series, folds)
    return known[0].first if known else len(series)


def read_folds(series: Series, folds: dict[str, Any], every: int = 1) -> list[Fold]:
    """Translate the refits' dates to rows, where one of `every` n serves them all."""
    result = []
    for refit in shared(series.slug, folds, every):
        train_end = bisect_right(series.dates, refit.train_end) - 1
        first = max(train_end, bisect_left(series.dates, refit.test_start))
        last = bisect_right(series.dates, refit.test_end) - 1
        if train_end >= 0 and first <= last:
            result.append(Fold(train_end, first, last))
    return result


def shared(slug: str, folds: dict[str, Any], every: int) -> list[Refit]:
    """Let one refit serve `every` neighbours of the calendar's grid, the first by its number there.

    It learns up to that day even when the window of tested days has left it behind: what it says of the origins
    that are still in the window must not change. A coin that was too young on that day is first fitted when it can.
    """
    result = []
    try:
        able = date.fromisoformat(folds["first_refit"]).toordinal()
        for number, neighbours in groupby(folds["refits"], key=lambda each: each["grid"] // every):
            group = list(neighbours)
            fitted = max(number * every * folds["refit_days"], able)
            train_end = date.fromordinal(fitted).isoformat()
            result.append(Refit(train_end, group[0]["test_start"], group[-1]["test_end"]))
    except (KeyError, TypeError) as error:
        raise BadInput(f"{slug}/folds.json lacks {error}") from error
    return result


def walk_forward(
    series: Series,
    folds: list[Fold],
    fit: FitKnown,
    *,
    lags: int,
    min_rows: int,
    groups: Sequence[str] = PLAIN,
    chosen: Mask | None = None,
) -> OutOfSample:
    """Refit at each fold with at least `min_rows` chosen rows and forecast from its observed origins."""
    usable = origins(series, lags)
    usable = usable[series.observed[usable]]
    parts: list[tuple[Indexes, Array]] = []
    taken = -1
    for fold in folds:
        known_frames, known_targets = training_rows(series, lags, fold.train_end, groups, chosen)
        # Where two folds claim an origin, the earlier keeps it: no origin is scored twice.
        at = usable[(usable >= max(fold.first, taken + 1)) & (usable <= fold.last)]
        if len(known_targets) < min_rows or not len(at):
            continue
        taken = fold.last
        model = fit(known_frames, known_targets)
        shown = show(series, lags, at, groups)
        parts.append((at, recurse(model, shown.lags, series.vol[at], beside=shown.beside)))
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
