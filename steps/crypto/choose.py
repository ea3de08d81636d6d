"""Choose the model whose path is shown: one for all ten days, or none and then the naive one.

A challenger must beat naive by more than chance one day or ten days ahead, and not lose to it at the other. One
model makes the whole path, because days picked from different models are nobody's forecast: their seams look
like moves that no model expects. What is "more than chance" depends on how often one looks, so the margin is
Bonferroni's for every challenger and both horizons: with naive the truth, about one coin in twenty at most is
given to another model. On the published prices nine coins in ten are left to naive, which is the honest answer. The
hold-out scores play no part, so that they stay a fair report of what the choice is worth.

Read next: predict.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import NormalDist
from typing import Any

# Days ahead at which a model is judged, as the cards spell them: those of the report's table.
JUDGED = ("1", "10")
# How often all of a coin's comparisons together may find a gain where there is none.
CHANCE = 0.05
# And by how much of naive's error at least: a gain below this is sure of nothing but of being small.
MIN_GAIN = 0.005
# Fewer scored forecasts than this prove nothing.
MIN_SCORED = 60


def choose(cards: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the card of the best challenger that passes the guard, else the naive one; ties go by id."""
    ordered = sorted(cards, key=lambda card: (card["family"], card["pid"]))
    challengers = [card for card in ordered if card["family"] != "naive"]
    margin = margin_of(len(challengers) * len(JUDGED))
    passed = [card for card in challengers if is_better(card["metrics_valid"], margin)]
    if passed:
        return min(passed, key=lambda card: sum(card["metrics_valid"][day]["rel_mae"] for day in JUDGED))
    return next(card for card in ordered if card["family"] == "naive")


def margin_of(comparisons: int) -> float:
    """By how many standard errors one of so many comparisons must be won (Bonferroni, one-sided)."""
    return NormalDist().inv_cdf(1 - CHANCE / max(1, comparisons))


def is_better(scores: dict[str, Any], margin: float) -> bool:
    """Say whether these scores beat naive beyond doubt at one judged horizon and do not lose at any."""
    judged = [scores.get(day) for day in JUDGED]
    if any(score is None or score["rel_mae"] is None or score["n"] < MIN_SCORED for score in judged):
        return False
    return all(score["rel_mae"] <= 1 for score in judged) and any(is_sure(score, margin) for score in judged)


def is_sure(score: dict[str, Any], margin: float) -> bool:
    """Say whether the gain at one horizon is too large for chance, and for being of no use."""
    relative, spread = score["rel_mae"], score["rel_mae_se"]
    return spread is not None and bool(relative <= 1 - MIN_GAIN and relative + margin * spread < 1)
