"""How far a row of the leaderboard could have been off by the luck of its days, and whether it held all along.

A row's number is the median over coins of each coin's relative error. Its interval is a bootstrap over dates, in whole
blocks, the same ones for all models and coins, as in evidence.py: what is drawn is the calendar, and the median over
coins is taken anew each time. So it says how much the days matter; that these were the coins, it takes as given. It is
no verdict: nothing here is corrected for how many models were looked at.

Over time: the same median for each quarter of the blocks, oldest first.

Read next: leaderboard.py (who asks), comparison.py (where it is drawn), evidence.py.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from steps.crypto.cards import digits
from steps.crypto.evidence import Errors, block_group, drawn, ratios
from steps.crypto.series import Array

QUARTERS = 4

Spread = dict[str, Any]
"""`ci95`, whose level is the policy's `confidence`, and `quarters` with `since` and `rel_mae`."""


def spreads(
    errors: Errors, counted: npt.NDArray[np.bool_], horizon: int, policy: Mapping[str, Any]
) -> dict[str, Spread]:
    """Say it of each model that forecast one of the counted coins."""
    count = len(errors.days)
    draws = drawn(count, block_group(horizon, policy), policy["boot"], policy["seed"])
    tails = (100 * (1 - policy["confidence"]) / 2, 100 * (1 + policy["confidence"]) / 2)
    found = {}
    for place, model in enumerate(errors.models):
        coins = counted & (errors.n[:, place].sum(axis=1) > 0)
        error, naive = errors.error[coins, place], errors.naive[coins, place]
        if not len(error):
            continue
        many = middle(ratios(error, naive, draws)[1])
        known = many[~np.isnan(many)]
        low, high = np.percentile(known, tails) if len(known) else (np.nan, np.nan)
        found[model] = {
            "ci95": [number(low), number(high)],
            "quarters": [
                {"since": errors.days[first], "rel_mae": number(middle(of_part(error, naive, first, end)))}
                for first, end in parts(count)
            ],
        }
    return found


def parts(count: int) -> list[tuple[int, int]]:
    """Cut so many blocks into quarters, the last of which may be shorter."""
    size = max(1, math.ceil(count / QUARTERS))
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def of_part(error: Array, naive: Array, first: int, end: int) -> Array:
    """Each coin's relative error in some of the blocks."""
    every = np.ones((end - first, 1))
    result: Array = ratios(error[:, first:end], naive[:, first:end], every)[0]
    return result


def middle(relative: Array) -> Array:
    """The median over coins, of those that have a number; NaN where none has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        result: Array = np.nanmedian(relative, axis=0)
    return result


def number(value: Array | float) -> float | None:
    return None if np.isnan(value) else digits(float(value))
