"""Rank stage: the trials of an experiment side by side, and what each group of features is worth.

    /<experiment>/leaderboard.csv   a row for each parameter file, the best one day ahead first
    /<experiment>/impact.csv        a row for each trial, group that it is tried without, and horizon
    /<experiment>/impact.png        the same as a picture, for the best trial of each method (if a group was left out)

A trial that brought nothing keeps its row, and its status says why: "missing" is a datum that failed or has not run
(`pachctl list datum`), "skipped" that no coin has enough history for it. An experiment that was refused has one row,
whose status says what is wrong with its file. Whether a trial should forecast is not decided
here: put its parameter file into the repo params of the main job, where it is compared like the others.

Read next: leaderboard.py (the middle over coins), spread.py (its interval), impact.py, impact_plot.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput, main
from steps.crypto import split
from steps.crypto.cards import PARAMS
from steps.crypto.evidence import read_errors
from steps.crypto.feature_groups import groups_of
from steps.crypto.formats import REFUSAL, TRIAL, number_text, read_json, write_csv
from steps.crypto.impact import DRAWS, Cost, Ratio, costs
from steps.crypto.impact_plot import draw_impact
from steps.crypto.leaderboard import MEDIANS, by_coin, middle
from steps.crypto.spread import Spread, spreads

HORIZONS = tuple(str(h) for h in split.HORIZONS)
SURE = ("rel_mae", "low95", "high95")
SHOWN = ("coins", "forecasts", *SURE, "q25", "q75", "beats_naive", "worst", "worst_coin", *MEDIANS)
IMPACT = ("model", "group", "h", *SURE, "coins", "days", "without")
NAMED = {"schema", "family", "method", "features"}  # parameters that have a place of their own in a row

Trials = Mapping[str, Mapping[str, Any]]
Scores = Sequence[Mapping[str, Any]]


def run(inputs: Path, out: Path) -> None:
    """Rank the trials of each experiment under `inputs` (one in a datum)."""
    experiments = sorted(path for path in (inputs / "grid").glob("*") if path.is_dir())
    if not experiments:
        raise BadInput("there are trials and no experiment: is its file gone?")
    for each in experiments:
        refusal = each / "refused/reason.json"
        if refusal.exists():
            told = f"refused: {read_json(refusal, REFUSAL)['reason']}"
            write_csv(out / each.name / "leaderboard.csv", ("model", "status"), [("", told)])
            continue
        trials = {f"{p.parent.name}.{p.stem}": read_json(p, PARAMS) for p in sorted(each.glob("*/*.json"))}
        scores = read_scores(inputs, each.name)
        found = costs(trials, scores, HORIZONS)
        old_enough = any(inputs.glob(f"split/{each.name}/*/folds.json"))
        columns, rows = leaderboard(trials, scores, old_enough)
        write_csv(out / each.name / "leaderboard.csv", columns, rows)
        write_csv(out / each.name / "impact.csv", IMPACT, map(impact_row, found))
        if found:
            best = best_of_each_method(trials, found, [row[0] for row in rows])
            shown = [cost for cost in found if cost.model in best]
            draw_impact(
                shown, {model: named(trials[model]) for model in best}, out / each.name / "impact.png"
            )


def read_scores(inputs: Path, experiment: str) -> list[dict[str, Any]]:
    """Return each coin's scores of all models, as score.py gathers them."""
    coins: dict[str, dict[str, Any]] = {}
    for path in sorted(inputs.glob(f"backtest*/{experiment}/*/*.json")):
        trial = read_json(path, TRIAL)
        coin = coins.setdefault(trial["slug"], {"slug": trial["slug"], "models": {}})
        coin["models"][trial["model"]] = trial
    return [coins[slug] for slug in sorted(coins)]


def leaderboard(trials: Trials, scores: Scores, old_enough: bool) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and a row for each trial, best first; say if any coin is old enough."""
    varied = sorted({key for params in trials.values() for key in params} - NAMED)
    columns = ["model", "status", "features", *varied]
    columns += [f"{name}_{h}d" for h in HORIZONS for name in SHOWN]
    every = np.ones(len(scores), dtype=bool)
    sure = {h: spreads(read_errors(scores, h, list(trials)), every, int(h), DRAWS) for h in HORIZONS}
    rows = []
    for model, params in trials.items():
        standing = {h: standings(by_coin(model, h, scores), sure[h].get(model)) for h in HORIZONS}
        order = [standing[h].get("rel_mae", math.inf) for h in HORIZONS]
        told = [model, status(model, scores, old_enough), " ".join(groups_of(params))]
        told += [text(params.get(key, "")) for key in varied]
        told += [text(row.get(name)) for row in standing.values() for name in SHOWN]
        rows.append((order, model, told))
    return columns, [told for _, _, told in sorted(rows, key=lambda row: row[:2])]


def standings(found: Mapping[str, Any], spread: Spread | None) -> dict[str, Any]:
    """Return the middle over coins and its interval; nothing where no coin was scored."""
    if not found or spread is None:
        return {}
    low, high = spread["ci95"]
    return {**middle(found), "low95": low, "high95": high}


def status(model: str, scores: Scores, old_enough: bool) -> str:
    """Say whether a trial was scored on any coin; if not, why."""
    found = [score["models"][model] for score in scores if model in score["models"]]
    if not found:
        return "missing" if old_enough else "skipped: no coin is older than the experiment's min_train"
    return "ok" if any(each["status"] == "ok" for each in found) else f"skipped: {found[0]['reason']}"


def named(params: Mapping[str, Any]) -> str:
    """Name a trial's method, as a reader would."""
    return (
        f"{params['method']}, one model for all coins" if params["family"] == "global" else params["family"]
    )


def impact_row(cost: Cost) -> list[str]:
    ratio: Ratio = cost.ratio
    numbers = (ratio.value, ratio.low, ratio.high, ratio.coins, ratio.days)
    return [cost.model, cost.group, cost.horizon, *map(text, numbers), cost.without]


def text(value: object) -> str:
    """Write a cell: numbers as they are read back, what is no number or word as JSON."""
    if value is None or isinstance(value, float):
        return number_text(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def best_of_each_method(trials: Trials, found: Sequence[Cost], ranked: Sequence[str]) -> list[str]:
    """Name the best of each method, of those that are shown most and tried without something."""
    tried = {cost.model for cost in found}
    best: dict[tuple[str, str], str] = {}
    for model in sorted(tried, key=lambda each: (-len(groups_of(trials[each])), ranked.index(each))):
        best.setdefault((trials[model]["family"], trials[model].get("method", "")), model)
    return list(best.values())


if __name__ == "__main__":
    main(run, batching=True)
