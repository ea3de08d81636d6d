"""Who is champion of a coin at a horizon, since when, and why: the policy, replayed from the first day on.

There is no hidden state. The champion of today follows from the score history and the policy alone: review after
review (one each `review_days`) is gone through with what was known at that time, so the same inputs give the same
champion, and an operator can ask what would have been. At each review a challenger qualifies

- by the coin's own evidence: `min_gain` better, and the upper bound of its relative error below `ci_below`, if the coin
  has `own_blocks` independent blocks of forecasts at this horizon (ten days ahead a year has too few); or
- if it is one model for all coins, by pooled evidence: `pooled_min_gain` better on all coins together, the pooled
  bound below `ci_below`, no coin worse than `max_worst`, and this coin not worse than naive.

The bounds are at a family-wise level: the more challengers and looks, the more must be won by. Hysteresis: a
champion stays while it beats naive; a better one must be better by `min_gain` again, and after a change nothing is
promoted for `cooldown_days`. Where nothing qualifies, the answer is "as today".

Read next: evidence.py (what is known when), compare.py (which writes it down).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from steps.crypto.evidence import Errors, Evidence, evidence, known_blocks
from steps.crypto.metrics import BLOCK_DAYS
from steps.crypto.series import Array

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Reign:
    """The state of one coin at one horizon after a review."""

    champion: str
    since: str
    decision: str


@dataclass(frozen=True)
class Verdict:
    """One horizon's replay: the last state of each coin, the last evidence, and who reigned in each block."""

    reigns: dict[str, Reign]
    evidence: Evidence
    reviewed: str
    # Index of the champion in `models` by coin and block.
    champions: npt.NDArray[np.int64]


def replay(errors: Errors, horizon: int, policy: Policy, pooled: Sequence[str]) -> Verdict:
    """Go through all reviews; the first model is the fallback, `pooled` names those that are one for all coins."""
    fallback = errors.models[0]
    start = errors.days[0] if errors.days else ""
    reigns = {coin: Reign(fallback, start, "fallback_naive") for coin in errors.coins}
    champions = np.zeros((len(errors.coins), len(errors.days)), dtype=np.int64)
    known, look, seen = evidence(errors, 0, horizon, 1, policy), 0, start
    shared = np.array([model in pooled for model in errors.models], dtype=bool)
    for review, day in enumerate(errors.days):
        blocks = known_blocks(review, horizon)
        due = date.fromisoformat(day).toordinal() // BLOCK_DAYS % (policy["review_days"] // BLOCK_DAYS) == 0
        if due and errors.n[:, :, :blocks].sum(axis=2).max(initial=0) >= policy["min_scored"]:
            look, seen = look + 1, day
            known = evidence(errors, blocks, horizon, look, policy)
            may = qualified(known, policy, shared)
            for row, coin in enumerate(errors.coins):
                relative = dict(zip(errors.models, known.rel_mae[row].tolist(), strict=True))
                allowed = [model for model, passes in zip(errors.models, may[row], strict=True) if passes]
                reigns[coin] = reviewed(reigns[coin], fallback, relative, allowed, policy, day)
        for row, coin in enumerate(errors.coins):
            champions[row, review] = errors.models.index(reigns[coin].champion)
    return Verdict(reigns, known, seen, champions)


def qualified(known: Evidence, policy: Policy, shared: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Say for each coin and model whether the evidence allows it to be promoted."""
    scored = known.n >= policy["min_scored"]
    # What is not known (NaN) compares as false and so never qualifies.
    own = (
        (known.blocks >= policy["own_blocks"])
        & (known.rel_mae <= 1 - policy["min_gain"])
        & (known.upper < policy["ci_below"])
    )
    everywhere = (
        shared
        & (known.pooled <= 1 - policy["pooled_min_gain"])
        & (known.pooled_upper < policy["ci_below"])
        & (known.worst <= policy["max_worst"])
    )
    result: npt.NDArray[np.bool_] = scored & (own | (everywhere & (known.rel_mae <= 1)))
    return result


def reviewed(
    reign: Reign,
    fallback: str,
    relative: Mapping[str, float],
    allowed: Sequence[str],
    policy: Policy,
    day: str,
) -> Reign:
    """Return the state after one review."""
    champion = reign.champion
    if champion != fallback and not relative[champion] < 1:
        return Reign(fallback, day, "fallback_naive")
    best = min(allowed, key=lambda model: (relative[model], model), default=None)
    better = best is not None and (
        champion == fallback or relative[best] <= relative[champion] - policy["min_gain"]
    )
    rested = days_between(reign.since, day) >= policy["cooldown_days"]
    if best is not None and better and best != champion and rested:
        return Reign(best, day, "promote")
    if champion == fallback:
        return Reign(fallback, reign.since, "fallback_naive")
    return Reign(champion, reign.since, "keep")


def days_between(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days


def reigns_of(errors: Errors, verdict: Verdict, coin: str) -> list[tuple[str, str]]:
    """Return who was champion of a coin from which day on, oldest first: those that were taken down again, too."""
    row = verdict.champions[errors.coins.index(coin)].tolist()
    return [
        (day, errors.models[now])
        for before, now, day in zip([-1, *row], row, errors.days, strict=False)
        if now != before
    ]


def gated(errors: Errors, verdict: Verdict) -> Array:
    """Each coin's relative error had the champions of the time been shown, on the fallback's origins.

    Exactly 1 where none but the fallback ever reigned: then the two sums are of the same numbers. A champion that
    says nothing in a block (too few rows for it) is stood in for by the fallback.
    """
    result = np.full(len(errors.coins), np.nan)
    for row in range(len(errors.coins)):
        blocks = np.arange(len(errors.days))
        model = np.where(errors.n[row, verdict.champions[row], blocks] > 0, verdict.champions[row], 0)
        total = errors.naive[row, model, blocks].sum()
        if total:
            result[row] = errors.error[row, model, blocks].sum() / total
    return result
