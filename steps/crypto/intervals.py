"""80 % intervals from a coin's own errors at each horizon.

A recursion knows nothing about its own uncertainty, so the interval is measured: how far were this model's
h-day forecasts of this coin off, in volatilities, on days it had not seen? The 10 % and 90 % quantiles of
these residuals, times today's volatility, around today's point; their ranks are the conformal ones (n residuals
promise a little less than they seem to).

Ten-day residuals of neighbouring days share nine days, so n of them are worth about n/10, and a young coin's
"10 % quantile" of seven is noise: one lucky month would promise a hundredfold. So the measured ends are blended
with the textbook's for a naive forecast, 1.28 standard deviations of the one-day residuals times the root of h
(Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.5), by credibility (Bühlmann):
with m independent residuals the measured ends count m / (m + 9), since a 10 % tail needs nine to exist at all.
An old coin's interval is four fifths its own, a ten weeks' coin's less than half. And the intervals of
later days contain those of earlier days, so the width never shrinks with the horizon.

Read next: walkforward.py (where the residuals come from), outcomes.py, predict.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from statistics import NormalDist

import numpy as np

from steps.crypto.features import LIMIT
from steps.crypto.series import Array

COVERAGE = 0.8
# A year of residuals: long enough for a 10 % tail, short enough to follow a coin that grows up.
WINDOW = 365
# So many independent residuals weigh as much as the textbook: the fewest whose conformal rank (n + 1) * 0.9 exists.
HALF_TRUST = 9
# Standard deviations from a normal distribution's middle to the interval's end.
NORMAL_END = NormalDist().inv_cdf((1 + COVERAGE) / 2)


def tail_ranks(count: int) -> tuple[float, float]:
    """Say at which positions (0-based, fractional) of the sorted residuals the interval's ends lie."""
    upper = min(1.0, (1 + COVERAGE) / 2 * (1 + 1 / count))
    return (1 - upper) * (count - 1), upper * (count - 1)


def tails(residuals: Sequence[float], horizon: int, spread: float) -> tuple[float, float]:
    """Return the interval's two ends, in volatilities from the point.

    `residuals` are those at the horizon, sorted and not empty; `spread` is that of the one-day residuals.
    """
    low, high = (_at(residuals, rank) for rank in tail_ranks(len(residuals)))
    # An end that no path can reach would help nobody: after a quote that stood still for months, one jump is a
    # residual of thousands of volatilities.
    farthest = LIMIT * horizon
    independent = len(residuals) / horizon
    trust = independent / (independent + HALF_TRUST)
    normal = NORMAL_END * spread * math.sqrt(horizon)
    low = trust * max(-farthest, low) - (1 - trust) * normal
    high = trust * min(farthest, high) + (1 - trust) * normal
    # Nor would a point outside its own interval.
    return min(0.0, low), max(0.0, high)


def known_spread(daily: Array) -> Array:
    """For each origin and the one still to come: the root mean square of the one-day residuals known at it.

    The newest WINDOW of them, clipped as the frames are; NaN before there is one.
    """
    known = ~np.isnan(daily)
    squares = np.concatenate([[0.0], np.cumsum(np.clip(daily[known], -LIMIT, LIMIT) ** 2)])
    # The residual of an origin's own row is known a day later.
    count = np.concatenate([[0], np.cumsum(known)])
    first = np.maximum(0, count - WINDOW)
    sums = np.where(count, np.maximum(0.0, squares[count] - squares[first]), np.nan)
    spread: Array = np.sqrt(sums / np.maximum(1, count - first))
    return spread


def _at(ordered: Sequence[float], position: float) -> float:
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def newest_tails(residuals: Array, horizon: int) -> tuple[float, float]:
    """The ends that the newest WINDOW residuals give: a row per origin in time order, a column per day ahead.

    NaN where the outcome is unknown.
    """
    ahead = residuals[:, horizon - 1]
    known = ahead[~np.isnan(ahead)][-WINDOW:]
    return tails(sorted(known.tolist()), horizon, float(known_spread(residuals[:, 0])[-1]))


def rolling_tails(residuals: Array, horizon: int, at_least: int) -> Array:
    """For each origin the interval's ends, in volatilities, made from the residuals known at that origin.

    The residual of the origin `horizon` rows back is the newest whose target has come. NaN where fewer than
    `at_least` residuals were known.
    """
    ordered: list[float] = []
    window: deque[float] = deque()
    values = residuals[:, horizon - 1].tolist()
    spreads = known_spread(residuals[:, 0]).tolist()
    ends = np.full((len(values), 2), np.nan)
    for row in range(len(values)):
        if row >= horizon and not math.isnan(values[row - horizon]):
            insort(ordered, values[row - horizon])
            window.append(values[row - horizon])
            if len(window) > WINDOW:
                del ordered[bisect_left(ordered, window.popleft())]
        if len(ordered) >= at_least and not math.isnan(spreads[row]):
            ends[row] = tails(ordered, horizon, spreads[row])
    return ends


def nested(ends: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Widen each day's (low, high) to contain the day before: no width shrinks, in whatever unit."""
    result: list[tuple[float, float]] = []
    for low, high in ends:
        if result:
            low, high = min(low, result[-1][0]), max(high, result[-1][1])
        result.append((low, high))
    return result
