"""Backtest stage of the models for all coins: what each would have said of every coin on days that it had not seen.

Refits are on the days of the oldest coins' folds; a refit learns from what had come of all coins by then. Which days of
a coin are forecast is as in its own folds, so these forecasts stand beside those of its own models.

Read next: panel.py (what is learnt from), global_fit.py (the methods), outcomes.py (the files), score.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput, main
from steps.crypto.cards import file_sha256
from steps.crypto.family import MIN_RESIDUALS
from steps.crypto.forecast import HORIZON, recurse
from steps.crypto.formats import FOLDS, read_json, write_json
from steps.crypto.global_fit import Params, fit, read_global
from steps.crypto.outcome_lines import write_outcomes
from steps.crypto.outcomes import BACKTEST
from steps.crypto.panel import Panel, make_panel, rows_where
from steps.crypto.series import Array, Series, read_series
from steps.crypto.walkforward import judge, shared

Folds = dict[str, Any]


def run(inputs: Path, out: Path) -> None:
    """Back-test each parameter file under `inputs` (one in a datum) on all coins."""
    series = [read_series(path.parent) for path in sorted((inputs / "standardise").glob("*/series.csv"))]
    files = sorted((inputs / "params" / "global").glob("*.json"))
    if not series or not files:
        raise BadInput("a back-test needs coins in standardise and a file in params/global")
    folds = [read_json(inputs / "split" / each.slug / "folds.json", FOLDS) for each in series]
    for file in files:
        backtest_file(file, series, folds, out)


def backtest_file(file: Path, series: Sequence[Series], folds: Sequence[Folds], out: Path) -> None:
    """Back-test the model of a parameter file on all coins."""
    params = read_global(file)
    panel = make_panel(series, params)
    named = {
        "schema": BACKTEST,
        "model": f"global.{file.stem}",
        "params": params,
        "params_sha256": file_sha256(file),
        "example": False,
        "global": True,
    }
    write(panel, folds, *walk(panel, folds, params), named, out)


def walk(panel: Panel, folds: Sequence[Folds], params: Params) -> tuple[Array, int]:
    """Return each row's forecast log moves, NaN where none was made, and how often was refitted."""
    forecast = np.full((len(panel.at), HORIZON), np.nan)
    allowed = rows_where(panel, params["rows"])
    groups = shared("all coins", longest(folds), params["refit_every"])
    starts = [ordinal(group.train_end) for group in groups]
    first = np.array([ordinal(each["refits"][0]["test_start"]) for each in folds])[panel.coin]
    refits = 0
    for start, following in zip(starts, [*starts[1:], int(panel.day.max()) + 1], strict=True):
        learnt = panel.known(start) & allowed
        asked = np.flatnonzero((panel.day >= np.maximum(start, first)) & (panel.day < following))
        if learnt.sum() < params["min_rows"] or not len(asked):
            continue
        refits += 1
        model = fit(panel.shown[learnt].columns(), panel.targets[learnt], params)
        shown = panel.shown[asked]
        forecast[asked] = recurse(model, shown.lags, panel.scale[asked], beside=shown.beside)
    return forecast, refits


def longest(folds: Sequence[Folds]) -> Folds:
    """The folds of the coin that has most of them, and the longest past: those on the calendar grid of all."""
    return max(folds, key=lambda each: (len(each["refits"]), each["rows"], each["slug"]))


def ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def write(
    panel: Panel, folds: Sequence[Folds], forecast: Array, refits: int, named: dict[str, Any], out: Path
) -> None:
    """Write each coin's lines and card."""
    for number, series in enumerate(panel.series):
        mine = np.flatnonzero((panel.coin == number) & ~np.isnan(forecast[:, 0]))
        rows = judge(series, panel.at[mine], forecast[mine], refits=refits)
        card = {**named, "slug": series.slug, "rows": len(series), "refits": refits}
        if np.count_nonzero(~np.isnan(rows.actual), axis=0).min() < MIN_RESIDUALS:
            short = {"status": "skipped", "reason": "few_residuals", "n": 0}
            write_json(out / series.slug / f"{card['model']}.json", {**card, **short})
        else:
            horizons = folds[number]["horizons"]
            write_outcomes(out / series.slug, {**card, "status": "ok"}, series, rows, horizons, first=0)


if __name__ == "__main__":
    main(run, batching=True)
