"""The rule by which a forecast becomes a decision, in one place for today's decision and for the ledger of the past.

It is paper trading. No code of this project places an order, and a policy that says otherwise is refused. The rule: buy
where the forecast move is worth its cost and a margin, the lower end of the interval is not too low, and enough is
traded; sell where the forecast fall is more than selling costs; otherwise hold.

Read next: decide.py (today), ledger.py (the past).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.step import BadInput
from steps.crypto.policies import read_policy

TRADE = "crypto.trade/1"
FIELDS: dict[str, type] = {
    "paper": bool,
    "horizon": int,  # days ahead of the forecast that counts
    "fee_bps": float,  # of each trade, in hundredths of a percent
    "min_edge_bps": float,
    "max_weight": float,  # of one coin, a share of all that there is
    "max_loss": float,  # how far below the last price the interval may reach
    "min_volume": float,  # dollars a day
    "volume_days": int,
    "cash": float,  # what the ledger begins with
}
BUY, HOLD, SELL = "buy", "hold", "sell"


@dataclass(frozen=True)
class Decision:
    """What to do with one coin, and why; moves are shares of the last price."""

    action: str
    reason: str
    gross: float
    cost: float
    # How far the interval reaches below the last price; None where none was promised.
    downside: float | None
    # Dollars a day; None where the source does not say.
    volume: float | None
    # A share of all that there is; None: as it is.
    weight: float | None


def read_trade(path: Path) -> dict[str, Any]:
    """Read the policy."""
    policy = read_policy(path, TRADE, FIELDS)
    if not policy["paper"]:
        raise BadInput('policy/trade.json: "paper" must be true: nothing here can place a real order')
    if policy["max_weight"] > 1 or policy["horizon"] < 1:
        raise BadInput("policy/trade.json: max_weight is at most 1, horizon at least 1")
    return policy


def decide(
    point: float, last: float, low: float | None, volume: float | None, policy: Mapping[str, Any]
) -> Decision:
    """Decide on one coin from its forecast, last price, the interval's lower end and the dollars traded a day."""
    gross, fee = point / last - 1, policy["fee_bps"] / 1e4
    downside = None if low is None else low / last - 1
    action, reason = HOLD, "small_edge"
    if gross < -fee:
        action, reason = SELL, "expected_fall"
    elif gross > fee + policy["min_edge_bps"] / 1e4:
        if downside is None or downside < -policy["max_loss"]:
            reason = "risk"
        elif volume is None or volume < policy["min_volume"]:
            reason = "illiquid"
        else:
            action, reason = BUY, "edge"
    weight = {BUY: float(policy["max_weight"]), SELL: 0.0, HOLD: None}[action]
    return Decision(action, reason, gross, fee, downside, volume, weight)
