"""One coin as the report shows it: where its price has been, where the models say it goes, or why none does.

The coins are those of the audit, usable or not, and each one's forecast is looked up; so a coin that was lost
on the way between is found missing here, by name, and does not just fail to appear.

Read next: report.py (who reads them), page.py and plots.py (who show them).
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pachlet.step import BadInput
from steps.crypto.formats import FORECAST, read_json

HORIZONS = (1, 10)  # days ahead, of the table and the summary
HISTORY_DAYS = 180


@dataclass(frozen=True)
class Step:
    """The forecast for one day ahead."""

    h: int
    day: date
    point: float
    lo80: float
    hi80: float
    model: str


@dataclass(frozen=True)
class Coin:
    """One coin as the report shows it; without forecast it has a reason instead."""

    slug: str
    name: str
    status: str
    reason: str = ""
    detail: str = ""
    origin: str = ""
    last: float | None = None
    steps: tuple[Step, ...] = ()
    # Other models' forecasts, by name: shown faintly, for comparison.
    others: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    # The shown model's error relative to naive's on past days, by horizon.
    rel_mae: dict[int, float] = field(default_factory=dict)
    history: tuple[tuple[date, float], ...] = ()
    filled: int = 0

    def step(self, h: int) -> Step | None:
        """Return the forecast for `h` days ahead, if there is one."""
        return next((step for step in self.steps if step.h == h), None)


def read_coins(inputs: Path) -> list[Coin]:
    """Read all coins, with and without a forecast, by name."""
    coins = [read_coin(entry, inputs) for entry in sorted((inputs / "audit" / "universe").glob("*.json"))]
    for rejected in read_json(inputs / "audit" / "rejected.json", "crypto.rejected/1")["coins"]:
        coins.append(
            Coin(
                slug=rejected["slug"],
                name=rejected["name"],
                status="skipped",
                reason=rejected["reason"],
                detail=rejected["detail"],
                origin=rejected["last"] or "",
                last=rejected["last_close"],
            )
        )
    return sorted(coins, key=lambda coin: (coin.name.casefold(), coin.slug))


def read_coin(entry: Path, inputs: Path) -> Coin:
    """Read one coin of the universe: its forecast and the end of its series."""
    universe = read_json(entry, "crypto.universe/1")
    slug, name = str(universe["slug"]), str(universe["name"])
    path = inputs / "predict" / f"{slug}.json"
    if not path.is_file():
        return Coin(
            slug, name, "missing", "no_forecast", "the audit passed it, but predict wrote nothing for it"
        )
    forecast = read_json(path, FORECAST)
    history, filled = read_history(inputs / "standardise" / slug / "series.csv")
    steps = read_steps(forecast["forecast"])
    shown = {step.model for step in steps}
    candidates = [candidate for candidate in forecast.get("candidates", []) if candidate["status"] == "ok"]
    reason = str(forecast.get("reason", ""))
    return Coin(
        slug=slug,
        name=name,
        status=str(forecast["status"]),
        reason=reason,
        detail=reason.replace("_", " "),
        origin=str(forecast["origin"]),
        last=forecast["last"],
        steps=steps,
        others={c["model"]: read_steps(c["forecast"]) for c in candidates if c["model"] not in shown},
        rel_mae=shown_scores(steps, candidates),
        history=history,
        filled=filled,
    )


def read_steps(forecast: list[dict[str, Any]]) -> tuple[Step, ...]:
    """Read a forecast, nearest day first; a price that is no positive number is refused."""
    steps = []
    for day in sorted(forecast, key=lambda day: int(day["h"])):
        step = Step(
            int(day["h"]),
            date.fromisoformat(day["date"]),
            float(day["point"]),
            float(day["lo80"]),
            float(day["hi80"]),
            str(day["model"]),
        )
        # A biased model's interval may lie beside its point, so only their order is checked.
        if not (0 < step.point < math.inf and 0 < step.lo80 <= step.hi80 < math.inf):
            raise BadInput(f"the forecast of {step.model} for {step.day} is no positive price: {day}")
        steps.append(step)
    return tuple(steps)


def shown_scores(steps: tuple[Step, ...], candidates: list[dict[str, Any]]) -> dict[int, float]:
    """Look up, for each horizon of the table, how the shown model did against naive on past days."""
    scores = {c["model"]: c.get("scores", {}) for c in candidates}
    found = {}
    for step in steps:
        score = scores.get(step.model, {}).get(str(step.h), {}).get("rel_mae")
        if step.h in HORIZONS and score is not None:
            found[step.h] = float(score)
    return found


def read_history(path: Path) -> tuple[tuple[tuple[date, float], ...], int]:
    """Read the last observed closes, oldest first, and how many days among them were filled in."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    recent = rows[-HISTORY_DAYS:]
    observed = [row for row in recent if row["obs"] == "1"]
    closes = tuple((date.fromisoformat(row["date"]), math.exp(float(row["log_close"]))) for row in observed)
    return closes, len(recent) - len(observed)
