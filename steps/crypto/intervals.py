"""80 % intervals from a coin's own errors at each horizon.

A recursion knows nothing about its own uncertainty, so the interval is measured: how far were this model's
h-day forecasts of this coin off, in volatilities, on days it had not seen? The 10 % and 90 % quantiles of
these residuals, times today's volatility, around today's point. Two corrections: the ranks are the conformal
ones (n residuals promise a little less than they seem to), with n divided by h because ten-day residuals of
neighbouring days overlap by nine; and the intervals of later days contain those of earlier days, so the width
never shrinks with the horizon.

Read next: walkforward.py (where the residuals come from), predict.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from steps.crypto.features import LIMIT
from steps.crypto.series import Array

COVERAGE = 0.8
# A year of residuals: long enough for a 10 % tail, short enough to follow a coin that grows up.
WINDOW = 365


def tail_ranks(count: int, horizon: int) -> tuple[float, float]:
    """Say at which positions (0-based, fractional) of the sorted residuals the interval's ends lie."""
    independent = max(1.0, count / horizon)
    upper = min(1.0, (1 + COVERAGE) / 2 * (1 + 1 / independent))
    return (1 - upper) * (count - 1), upper * (count - 1)


def tails(residuals: Sequence[float], horizon: int) -> tuple[float, float]:
    """Return the interval's two ends, in volatilities from the point; `residuals` is sorted and not empty."""
    low, high = tail_ranks(len(residuals), horizon)
    # A point outside its own interval would help nobody, nor would an end that no path can reach: after a quote
    # that stood still for months, one jump is a residual of thousands of volatilities.
    farthest = LIMIT * horizon
    return max(-farthest, min(0.0, _at(residuals, low))), min(farthest, max(0.0, _at(residuals, high)))


def _at(ordered: Sequence[float], position: float) -> float:
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def newest_tails(residuals: Array, horizon: int) -> tuple[float, float]:
    """The ends that the newest WINDOW residuals (in time order, NaN where unknown) give."""
    known = residuals[~np.isnan(residuals)][-WINDOW:]
    return tails(sorted(known.tolist()), horizon)


def rolling_cover(residuals: Array, horizon: int, at_least: int) -> list[bool | None]:
    """Say for each origin whether the interval made from the residuals known at that origin held.

    The residual of the origin `horizon` rows back is the newest whose target has come. None where fewer than
    `at_least` residuals were known, or where the outcome is not.
    """
    ordered: list[float] = []
    window: deque[float] = deque()
    inside: list[bool | None] = []
    values = residuals.tolist()
    for row, residual in enumerate(values):
        if row >= horizon and not math.isnan(values[row - horizon]):
            insort(ordered, values[row - horizon])
            window.append(values[row - horizon])
            if len(window) > WINDOW:
                del ordered[bisect_left(ordered, window.popleft())]
        if len(ordered) < at_least or math.isnan(residual):
            inside.append(None)
        else:
            low, high = tails(ordered, horizon)
            inside.append(low <= residual <= high)
    return inside


def nested(ends: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Widen each day's (low, high) to contain the day before: no width shrinks, in whatever unit."""
    result: list[tuple[float, float]] = []
    for low, high in ends:
        if result:
            low, high = min(low, result[-1][0]), max(high, result[-1][1])
        result.append((low, high))
    return result
