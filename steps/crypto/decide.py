"""Decide stage: what would be done with each coin today, by its forecast and the policy. On paper.

Read next: trading.py (the rule), ledger.py (what the rule would have brought).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pachlet.step import BadInput, main
from steps.crypto.days import Day, mean_volume, read_days, rounded
from steps.crypto.formats import FORECAST, read_json, write_json
from steps.crypto.trading import decide, read_trade

DECISION = "crypto.decision/1"


def run(inputs: Path, out: Path) -> None:
    """Write /<slug>.json for each forecast under `inputs` (one in a datum)."""
    policy = read_trade(inputs / "policy" / "trade.json")
    for path in sorted((inputs / "predict").glob("*.json")):
        forecast = read_json(path, FORECAST)
        slug = str(forecast["slug"])
        days = read_days(inputs / "standardise" / slug)
        write_json(out / f"{slug}.json", decision(forecast, days, policy))


def decision(forecast: dict[str, Any], days: list[Day], policy: dict[str, Any]) -> dict[str, Any]:
    """Return what is decided on one coin, with all that it follows from."""
    head = {
        "schema": DECISION,
        "slug": forecast["slug"],
        "name": forecast["name"],
        "origin": forecast["origin"],
        "paper": True,
    }
    if forecast["status"] != "ok":
        return {**head, "status": "skipped", "reason": forecast["reason"]}
    step = next((each for each in forecast["forecast"] if each["h"] == policy["horizon"]), None)
    if step is None:
        raise BadInput(
            f"{forecast['slug']} has no forecast {policy['horizon']} days ahead, which the policy wants"
        )
    last = float(forecast["last"])
    volume = mean_volume(days, len(days) - 1, policy["volume_days"])
    made = decide(step["point"], last, step["lo80"], volume, policy)
    return {
        **head,
        "status": "ok",
        "horizon": policy["horizon"],
        "model": step["model"],
        "last": last,
        "point": step["point"],
        "action": made.action,
        "reason": made.reason,
        "target_weight": made.weight,
        "expected_gross": rounded(made.gross),
        "cost": rounded(made.cost),
        "downside": rounded(made.downside),
        "volume": rounded(made.volume),
    }


if __name__ == "__main__":
    main(run)
