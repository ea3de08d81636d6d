"""All models side by side: a row for each parameter file, over the coins that are old enough to count.

A row's relative error is the median over coins, each with the same weight; beside it how many coins the model beats
naive on and where it is worst, because a good middle can hide a ruin. The last rows, `gated`, are what following the
verdicts from the first day on would have been worth.

Read next: compare.py (who asks), spread.py (how sure a row is), verdict.py (what is replayed).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steps.crypto.cards import digits
from steps.crypto.evidence import Errors, read_errors
from steps.crypto.formats import number_text, write_csv
from steps.crypto.spread import spreads
from steps.crypto.verdict import Verdict, gated

SUMMARY = "crypto.leaderboard/1"
# Medians over coins, by the name that they have in a score file.
MEDIANS = ("smape", "dir", "dir_majority", "cov80", "width", "winkler")
SHOWN = (
    "coins",
    "rel_mae",
    "q25",
    "q75",
    "beats_naive",
    "worst",
    "worst_coin",
    *MEDIANS,
    "pooled",
    "pooled_upper",
)

Scores = Sequence[Mapping[str, Any]]


def summarise(
    scores: Scores, verdicts: Mapping[str, tuple[Errors, Verdict]], policy: Mapping[str, Any]
) -> dict[str, Any]:
    """Return everything that compare says about all coins together."""
    counted = [score for score in scores if score["rows"] >= policy["min_rows"]]
    names = sorted({name for score in scores for name in score["models"]})
    rows = [model_row(name, counted, scores, verdicts) for name in names]
    chosen = np.array([score["rows"] >= policy["min_rows"] for score in scores])
    for horizon in verdicts:
        found = spreads(read_errors(scores, horizon, names), chosen, int(horizon), policy)
        for row in rows:
            if horizon in row["h"]:
                row["h"][horizon] |= found[row["model"]]
    rows.sort(key=lambda row: (row["h"].get("1", {}).get("rel_mae") or math.inf, row["model"]))
    return {
        "schema": SUMMARY,
        "coins": len(scores),
        "counted": len(counted),
        "min_rows": policy["min_rows"],
        "models": rows,
        "gated": {h: gate(errors, verdict, counted) for h, (errors, verdict) in verdicts.items()},
    }


def model_row(
    name: str, counted: Scores, scores: Scores, verdicts: Mapping[str, tuple[Errors, Verdict]]
) -> dict[str, Any]:
    """Describe one parameter file, and how it did at each horizon."""
    about = next(score["models"][name] for score in scores if name in score["models"])
    row: dict[str, Any] = {
        "model": name,
        "params": about["params"],
        "params_sha256": about["params_sha256"],
        "example": about["example"],
        "global": about["global"],
        "h": {},
    }
    for horizon, (errors, verdict) in verdicts.items():
        found = by_coin(name, horizon, counted)
        if found:
            row["h"][horizon] = {**middle(found), **together(name, errors, verdict)}
    return row


def by_coin(model: str, horizon: str, scores: Scores) -> dict[str, Any]:
    """Return a model's scores at a horizon by coin, where there are any."""
    found = {
        str(score["slug"]): score["models"].get(model, {}).get("horizons", {}).get(horizon, {})
        for score in scores
    }
    return {slug: each for slug, each in found.items() if each.get("rel_mae") is not None}


def middle(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The middle, the spread and the worst of a model over coins."""
    relative = np.array([each["rel_mae"] for each in found.values()])
    worst = max(found, key=lambda slug: (found[slug]["rel_mae"], slug))
    row: dict[str, Any] = {
        "coins": len(found),
        "forecasts": sum(each["n"] for each in found.values()),
        "rel_mae": digits(np.median(relative)),
        "q25": digits(np.quantile(relative, 0.25)),
        "q75": digits(np.quantile(relative, 0.75)),
        "beats_naive": digits(np.mean(relative < 1)),
        "worst": digits(relative.max()),
        "worst_coin": worst,
    }
    for name in MEDIANS:
        known = [each[name] for each in found.values() if each[name] is not None]
        row[name] = digits(np.median(known)) if known else None
    return row


def together(name: str, errors: Errors, verdict: Verdict) -> dict[str, Any]:
    """The pooled evidence on a model, where it took part in the comparison."""
    if name not in errors.models:
        return {"pooled": None, "pooled_upper": None}
    k = errors.models.index(name)
    pooled, upper = verdict.evidence.pooled[k], verdict.evidence.pooled_upper[k]
    return {
        "pooled": None if np.isnan(pooled) else digits(pooled),
        "pooled_upper": None if np.isnan(upper) else digits(upper),
    }


def gate(errors: Errors, verdict: Verdict, counted: Scores) -> dict[str, Any]:
    """What following the verdicts would have been worth, and how many coins each champion has now."""
    slugs = {str(score["slug"]) for score in counted}
    relative = {
        coin: float(value)
        for coin, value in zip(errors.coins, gated(errors, verdict), strict=True)
        if coin in slugs and not np.isnan(value)
    }
    champions = [reign.champion for reign in verdict.reigns.values()]
    unmoved = {
        coin for row, coin in enumerate(errors.coins) if coin in relative and not verdict.champions[row].any()
    }
    values = np.array(list(relative.values()))
    return {
        "coins": len(relative),
        "rel_mae": digits(np.median(values)) if len(values) else None,
        "worst": digits(values.max()) if len(values) else None,
        "champions": {name: champions.count(name) for name in sorted(set(champions))},
        "never_promoted": len(unmoved),
        "never_promoted_exactly_naive": sum(relative[coin] == 1.0 for coin in unmoved),
    }


def write_leaderboard(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows as a table: one a parameter file, the horizons side by side."""
    horizons = sorted({h for row in rows for h in row["h"]}, key=int)
    columns = ["model", "example", "global", *(f"{name}_{h}d" for h in horizons for name in SHOWN)]
    write_csv(path, columns, ([*flags(row), *(cells(row, horizons))] for row in rows))


def flags(row: Mapping[str, Any]) -> list[str]:
    return [row["model"], str(int(row["example"])), str(int(row["global"]))]


def cells(row: Mapping[str, Any], horizons: Sequence[str]) -> list[str]:
    found = [row["h"].get(h, {}).get(name) for h in horizons for name in SHOWN]
    return [value if isinstance(value, str) else number_text(value) for value in found]
