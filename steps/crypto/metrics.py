"""What is counted of a model's forecasts of one coin at one horizon.

The number that decides is rel_mae: the mean absolute error in price over that of "as today" on the same origins.
Beside it sMAPE (symmetric, in percent), the share of right directions with the majority's share next to it (in a
bull market "up" is often right), the coverage of the 80 % intervals with their width, and Winkler's score (width
plus ten times what an outcome lies outside, since 2 / 0.2 = 10), both in shares of the last price (Hyndman &
Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 5.8 and 5.9).

The errors are kept as sums over blocks of ten days on one calendar grid for all coins: neighbouring days' errors
hang together, so whoever asks how sure a difference is draws whole blocks (verdict.py).

Read next: score.py (who asks), verdict.py (what follows).
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from steps.crypto.cards import digits
from steps.crypto.outcomes import Outcomes
from steps.crypto.series import Array

BLOCK_DAYS = 10
MISS = 2 / 0.2  # what an outcome outside of an 80 % interval costs, per distance

Block = tuple[str, int, float, float]


def score(rows: Outcomes) -> dict[str, Any]:
    """Score forecasts of one coin at one horizon; where there is none, only `n` is said."""
    if not len(rows.last):
        return {"n": 0}
    error, naive = np.abs(rows.yhat - rows.actual), np.abs(rows.last - rows.actual)
    size = np.abs(rows.yhat) + np.abs(rows.actual)
    return {
        "n": len(error),
        "mae": digits(error.mean()),
        "rel_mae": digits(error.sum() / naive.sum()) if naive.sum() else None,
        "smape": digits(200 * np.mean(error / size)),
        **direction(rows),
        **interval(rows),
        "blocks": blocks(rows.origin, error, naive),
    }


def direction(rows: Outcomes) -> dict[str, float | None]:
    """The share of right directions; a day without a move, or a forecast without one, has none to be right about."""
    moved = np.sign(rows.actual - rows.last)
    said = np.sign(rows.yhat - rows.last)
    counts = (moved != 0) & (said != 0)
    if not counts.any():
        return {"dir": None, "dir_majority": None}
    ups = np.mean(moved[counts] > 0)
    return {
        "dir": digits(np.mean(moved[counts] == said[counts])),
        "dir_majority": digits(max(ups, 1 - ups)),
    }


def interval(rows: Outcomes) -> dict[str, Any]:
    """Coverage, mean width and mean Winkler score of the intervals that were promised."""
    promised = ~np.isnan(rows.lo80)
    if not promised.any():
        return {"cov80": None, "cov80_n": 0, "width": None, "winkler": None}
    low, high, actual, last = (each[promised] for each in (rows.lo80, rows.hi80, rows.actual, rows.last))
    width = high - low
    outside = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
    return {
        "cov80": digits(np.mean(outside == 0)),
        "cov80_n": int(promised.sum()),
        "width": digits(np.mean(width / last)),
        "winkler": digits(np.mean((width + MISS * outside) / last)),
    }


def blocks(origin: Array, error: Array, naive: Array) -> list[Block]:
    """Sum up errors over BLOCK_DAYS of origins: (first day, forecasts, error, naive's error), oldest first."""
    number = (origin // BLOCK_DAYS).astype(np.int64)
    found: npt.NDArray[np.int64]
    found, inverse, counts = np.unique(number, return_inverse=True, return_counts=True)
    sums = [np.bincount(inverse, weights=each) for each in (error, naive)]
    return [
        (
            date.fromordinal(int(block) * BLOCK_DAYS).isoformat(),
            int(n),
            float(digits(e) or 0),
            float(digits(b) or 0),
        )
        for block, n, e, b in zip(found, counts, *sums, strict=True)
    ]
