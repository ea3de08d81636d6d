"""Score out-of-sample forecasts against the naive one.

The number that counts is rel_mae: the mean absolute error in price over that of "tomorrow is today" on the
same origins and days. Beside it its standard error (of blocks, because errors of neighbouring days overlap
and cluster), the share of right directions with the majority's share next to it (in a bull market "up" is
often right), and the coverage of 80 % intervals that were made from what was known at the time.

Read next: choose.py (what is done with the scores).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from steps.crypto.cards import digits
from steps.crypto.intervals import rolling_cover
from steps.crypto.series import Array
from steps.crypto.walkforward import OutOfSample

# A rolling interval is judged once this many residuals precede it.
COVER_AFTER = 30

Scores = dict[str, dict[str, float | int | None]]


def score(rows: OutOfSample, keep: npt.NDArray[np.bool_]) -> Scores:
    """Score every horizon with a known outcome among the rows to `keep`; keys are days ahead, as text.

    The other rows still lend their residuals to the intervals of later rows, as they would have at the time.
    """
    result: Scores = {}
    for column in range(rows.forecast.shape[1]):
        known = keep & ~np.isnan(rows.actual[:, column])
        if known.any():
            result[str(column + 1)] = {**_errors(rows, column, known), **_cover(rows, column, known)}
    return result


def _errors(rows: OutOfSample, column: int, known: npt.NDArray[np.bool_]) -> dict[str, float | int | None]:
    forecast, actual, price = rows.forecast[known, column], rows.actual[known, column], rows.price[known]
    error = price * np.abs(np.exp(forecast) - np.exp(actual))
    naive = price * np.abs(1 - np.exp(actual))
    relative, spread = relative_error(error, naive, block=max(5, 2 * (column + 1)))
    # A day without a move, or a forecast without one, has no direction to be right about.
    said = (actual != 0) & (forecast != 0)
    right = np.sign(forecast[said]) == np.sign(actual[said])
    ups = np.mean(actual[said] > 0) if said.any() else None
    return {
        "n": int(known.sum()),
        "mae": digits(error.mean()),
        "rel_mae": digits(relative),
        "rel_mae_se": digits(spread),
        "dir": digits(right.mean()) if said.any() else None,
        "dir_majority": digits(max(ups, 1 - ups)) if ups is not None else None,
    }


def _cover(rows: OutOfSample, column: int, known: npt.NDArray[np.bool_]) -> dict[str, float | int | None]:
    inside = rolling_cover(rows.residuals, column + 1, COVER_AFTER)
    judged = [within for within, counts in zip(inside, known, strict=True) if counts and within is not None]
    return {"cover80": digits(sum(judged) / len(judged)) if judged else None, "cover80_n": len(judged)}


def relative_error(error: Array, naive: Array, *, block: int) -> tuple[float | None, float | None]:
    """Return sum(error)/sum(naive) and its standard error over blocks of time; None where undefined."""
    total = float(naive.sum())
    if total == 0:
        return None, None
    relative = float(error.sum()) / total
    starts = np.arange(0, len(error), block)
    if len(starts) < 2:
        return relative, None
    blocks = np.add.reduceat(error - relative * naive, starts)
    spread = math.sqrt(len(starts) / (len(starts) - 1) * float((blocks**2).sum())) / total
    return relative, spread
