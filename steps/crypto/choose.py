"""Choose, for each horizon, the model whose forecast is shown.

A challenger is shown only where its validation error is below naive's by a margin that chance seldom gives;
else the naive forecast is. On this data that means naive almost everywhere at ten days, which is the honest
answer. The hold-out scores play no part, so that they stay a fair report of what the choice is worth.

Read next: predict.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Standard errors by which a challenger must be better than naive: one-sided 95 %.
MARGIN = 1.645
# And by how much of naive's error at least: a gain below this is sure of nothing but of being small.
MIN_GAIN = 0.005
# Fewer scored forecasts than this prove nothing.
MIN_SCORED = 60


def choose(cards: Iterable[dict[str, Any]], horizon: int) -> dict[str, Any]:
    """Return the card of the best challenger that passes the guard, else the naive one; ties go by id."""
    ordered = sorted(cards, key=lambda card: (card["family"], card["pid"]))
    passed = [
        (card["metrics_valid"][str(horizon)]["rel_mae"], number)
        for number, card in enumerate(ordered)
        if card["family"] != "naive" and is_better(card["metrics_valid"].get(str(horizon)))
    ]
    if passed:
        return ordered[min(passed)[1]]
    return next(card for card in ordered if card["family"] == "naive")


def is_better(scores: dict[str, Any] | None) -> bool:
    """Say whether these scores beat naive by more than chance easily gives."""
    if not scores or scores["rel_mae"] is None or scores["rel_mae_se"] is None:
        return False
    if scores["n"] < MIN_SCORED:
        return False
    relative, spread = scores["rel_mae"], scores["rel_mae_se"]
    return bool(relative <= 1 - MIN_GAIN and relative + MARGIN * spread < 1)
