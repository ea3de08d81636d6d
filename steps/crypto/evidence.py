"""How sure is it that a model is better than "as today"? Errors on a calendar, and what was known of them when.

All coins' errors lie on one grid of ten-day blocks (metrics.py). At a review, on the first day of a block, only
blocks count whose last target had come by then. The uncertainty is a bootstrap over dates: whole blocks are drawn
with replacement, the same ones for all models and coins, so days that were hard for everybody are drawn for everybody
(Künsch 1989; Politis & Romano 1994 for why blocks).

Whoever looks often enough finds something. So the bound that decides is at a family-wise level: the k-th look at m
challengers has a share 1 / (m k (k + 1)) of the allowed error, which over all looks ever adds up to the whole (alpha
spending by Bonferroni). So far out a sample of draws has no tail, hence the bound is Student's, with the bootstrap's
standard error: a year has few blocks.

There are two kinds of evidence. A coin's own: its relative error and the upper bound of that. And the pooled one of
a model that is one and the same for all coins: 0.8 % less error can't be shown on one coin's year, and it can on
eighty coins'. There each coin counts in units of its own naive error, so that no coin's price decides.

How much a coin's own bound is worth depends on how many blocks were drawn from. Ten days ahead, neighbours share nine
of their days: a year of daily forecasts is eighteen independent blocks, and with fewer than thirty such tests reject
too often (Cameron, Gelbach & Miller 2008, on five to thirty clusters), the more so as one coin's errors have heavy
tails, and the same dates are tried once a coin. So the blocks are counted, and the policy says how many are enough
(`own_blocks`). Errors pooled over coins are a mean of many, near what Student's bound supposes, and are tried once a
model.

Read next: verdict.py (what follows from it), compare.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from steps.crypto.metrics import BLOCK_DAYS
from steps.crypto.series import Array

Counts = npt.NDArray[np.int64]
Scores = Mapping[str, Any]


@dataclass(frozen=True)
class Errors:
    """Sums over coins x models x blocks; 0 where a model forecast nothing."""

    coins: tuple[str, ...]
    models: tuple[str, ...]
    # The first day of each block, as text.
    days: tuple[str, ...]
    error: Array
    naive: Array
    n: Counts


@dataclass(frozen=True)
class Evidence:
    """What was known at one review: arrays over coins x models, or over models where pooled. NaN: nothing."""

    n: Counts
    # Independent blocks: n over the days of the blocks that are drawn, rounded down.
    blocks: Counts
    rel_mae: Array
    low: Array
    high: Array
    # One-sided and at the family-wise level: below 1 means better by more than chance.
    upper: Array
    pooled: Array
    pooled_upper: Array
    worst: Array


def read_errors(scores: Sequence[Scores], horizon: str, models: Sequence[str]) -> Errors:
    """Lay the blocks of all coins on one calendar."""
    found = [
        (coin, model, date.fromisoformat(day).toordinal() // BLOCK_DAYS, n, error, naive)
        for coin, score in enumerate(scores)
        for model, name in enumerate(models)
        for day, n, error, naive in blocks_of(score, name, horizon)
    ]
    first = min((block for _, _, block, *_ in found), default=0)
    count = max((block for _, _, block, *_ in found), default=-1) - first + 1
    sums = np.zeros((3, len(scores), len(models), count))
    for coin, model, block, *values in found:
        sums[:, coin, model, block - first] = values
    days = tuple(date.fromordinal((first + k) * BLOCK_DAYS).isoformat() for k in range(count))
    coins = tuple(str(score["slug"]) for score in scores)
    return Errors(coins, tuple(models), days, sums[1], sums[2], sums[0].astype(np.int64))


def blocks_of(score: Scores, model: str, horizon: str) -> list[Any]:
    """The blocks of a model at a horizon, none where it was not scored."""
    return list(score["models"].get(model, {}).get("horizons", {}).get(horizon, {}).get("blocks", []))


def known_blocks(review: int, horizon: int) -> int:
    """How many of the grid's blocks had all their targets behind them on the first day of block `review`."""
    return max(0, review + 1 - math.ceil((BLOCK_DAYS - 1 + horizon) / BLOCK_DAYS))


def evidence(errors: Errors, blocks: int, horizon: int, look: int, policy: Mapping[str, Any]) -> Evidence:
    """Weigh the first `blocks` blocks, at the `look`-th look."""
    error, naive = errors.error[:, :, :blocks], errors.naive[:, :, :blocks]
    n = errors.n[:, :, :blocks].sum(axis=2)
    group = block_group(horizon, policy)
    draws = drawn(blocks, group, policy["boot"], policy["seed"])
    relative, many = ratios(error, naive, draws)
    alpha = 1 - policy["confidence"]
    low, high = np.quantile(many, [alpha / 2, 1 - alpha / 2], axis=-1)
    share = alpha / (max(1, len(errors.models) - 1) * look * (look + 1))
    margin = student(1 - share, max(1, math.ceil(blocks / group) - 1))
    # Each coin in units of its own naive error; one with few outcomes says nothing about all.
    enough = n >= policy["min_scored"]
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.where(enough, n / naive.sum(axis=2), 0.0)
    unit = np.nan_to_num(unit, posinf=0.0)[:, :, None]
    pooled, pooled_many = ratios((error * unit).sum(axis=0), (naive * unit).sum(axis=0), draws)
    worst = np.where(enough, relative, -np.inf).max(axis=0, initial=-np.inf)
    return Evidence(
        n=n,
        blocks=n // (group * BLOCK_DAYS),
        rel_mae=relative,
        low=low,
        high=high,
        upper=relative + margin * many.std(axis=-1),
        pooled=pooled,
        pooled_upper=pooled + margin * pooled_many.std(axis=-1),
        worst=worst,
    )


def block_group(horizon: int, policy: Mapping[str, Any]) -> int:
    """How many neighbouring blocks are drawn as one.

    Errors ten days ahead of neighbouring origins share nine days: whole blocks of twice that are drawn.
    """
    return math.ceil(max(policy["block_days"], 2 * horizon) / BLOCK_DAYS)


def drawn(blocks: int, group: int, times: int, seed: int) -> Array:
    """How often each block is in each of `times` samples: blocks x times; neighbours are drawn in groups."""
    groups = math.ceil(blocks / group) if blocks else 0
    if not groups:
        return np.zeros((0, times))
    counts = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=times)
    return np.repeat(counts, group, axis=1)[:, :blocks].T.astype(float)


def ratios(error: Array, naive: Array, draws: Array) -> tuple[Array, Array]:
    """Relative errors of the whole and of each sample; NaN where naive made no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = error.sum(axis=-1) / naive.sum(axis=-1)
        many = (error @ draws) / (naive @ draws)
    return np.where(np.isfinite(whole), whole, np.nan), np.where(np.isfinite(many), many, np.nan)


def student(share: float, freedom: int) -> float:
    """The quantile of Student's t, by Abramowitz & Stegun 26.7.5: good from ten degrees, too small below."""
    z = NormalDist().inv_cdf(share)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
