"""What does leaving out a group of features cost? The error without it over the error with it, and how sure that is.

Two trials of an experiment that differ in one group, and in nothing else, are held against each other on the same coins
and days. Each coin counts in units of its own naive error, so that no coin's price decides. The interval is a bootstrap
over dates: whole blocks are drawn, the same ones for both trials and all coins (evidence.py), so what was hard for both
cancels out.

1.02 is: without the group two percent more error. An interval that holds 1 is: it can't be told from no difference.
With many groups and trials, one in twenty intervals misses 1 by chance.

Read next: rank.py (who asks), evidence.py (the blocks).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steps.crypto.cards import digits
from steps.crypto.evidence import Errors, block_group, drawn, ratios, read_errors
from steps.crypto.feature_groups import groups_of
from steps.crypto.metrics import BLOCK_DAYS
from steps.crypto.series import Array

# How intervals are drawn in experiments, which have no policy.
DRAWS = {"confidence": 0.95, "boot": 1000, "block_days": BLOCK_DAYS, "seed": 0}
# Of independent blocks: below this many, an interval says more about the draws than about the model.
ENOUGH = 5


@dataclass(frozen=True)
class Ratio:
    """One error over another, with the ends of its interval; None where too little is known."""

    value: float | None
    low: float | None
    high: float | None
    coins: int
    days: int


@dataclass(frozen=True)
class Cost:
    """What a model loses without a group of features, at one horizon."""

    model: str
    group: str
    without: str
    horizon: str
    ratio: Ratio


def costs(
    trials: Mapping[str, Mapping[str, Any]], scores: Sequence[Mapping[str, Any]], horizons: Sequence[str]
) -> list[Cost]:
    """Hold each trial against those that lack one of its groups; `trials` are parameters by model."""
    return [
        Cost(model, group, without, horizon, error_ratio(scores, horizon, without, model))
        for model, group, without in pairs(trials)
        for horizon in horizons
    ]


def pairs(trials: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Yield each model with each group that another one lacks, all else the same, and that other one."""
    known = {identity(params, groups_of(params)): model for model, params in trials.items()}
    for model, params in sorted(trials.items()):
        groups = groups_of(params)
        for group in groups:
            without = known.get(identity(params, [each for each in groups if each != group]))
            if without is not None:
                yield model, group, without


def identity(params: Mapping[str, Any], groups: Sequence[str]) -> str:
    return json.dumps({**params, "features": list(groups)}, sort_keys=True)


def error_ratio(scores: Sequence[Mapping[str, Any]], horizon: str, above: str, below: str) -> Ratio:
    """Return the error of model `above` over that of `below`, on the days that both forecast."""
    errors = read_errors(scores, horizon, [above, below])
    same = (errors.n[:, 0] == errors.n[:, 1]) & (errors.n[:, 0] > 0)
    unit = unit_of(errors, same)
    over, under = ((errors.error[:, k] * unit).sum(axis=0) for k in (0, 1))
    group = block_group(int(horizon), DRAWS)
    value, many = ratios(over, under, drawn(same.shape[1], group, int(DRAWS["boot"]), int(DRAWS["seed"])))
    low = high = None
    if np.count_nonzero(same.any(axis=0)) >= ENOUGH * group and not np.isnan(value):
        tail = (1 - DRAWS["confidence"]) / 2
        low, high = (digits(each) for each in np.nanquantile(many, [tail, 1 - tail]))
    return Ratio(
        value=None if np.isnan(value) else digits(value),
        low=low,
        high=high,
        coins=int(np.count_nonzero(unit.any(axis=1))),
        days=int(np.where(same, errors.n[:, 0], 0).max(axis=0, initial=0).sum()),
    )


def unit_of(errors: Errors, same: Array) -> Array:
    """Return what each coin's errors are counted in, 1 over its naive error, where both forecast: coins x blocks."""
    naive = np.where(same, errors.naive[:, 0], 0.0).sum(axis=1)
    n = np.where(same, errors.n[:, 0], 0).sum(axis=1)
    unit = np.divide(n, naive, out=np.zeros(len(naive)), where=naive > 0)
    return np.where(same, unit[:, None], 0.0)
