"""Backtest stage: let each model of a coin forecast days that it had not seen, one and ten days ahead.

Nothing is scored here; what was forecast is written beside what came. The models that are trained on all coins
at once have a stage of their own, with files of the same form.

Read next: walkforward.py (what may be known when), outcomes.py (the files), score.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput, main
from steps.crypto.cards import file_sha256
from steps.crypto.families import FAMILIES
from steps.crypto.family import Family, Params
from steps.crypto.formats import FOLDS, read_json, write_json
from steps.crypto.outcome_lines import write_outcomes
from steps.crypto.outcomes import BACKTEST
from steps.crypto.series import Series, read_series
from steps.crypto.walkforward import first_origin, out_of_sample


def run(inputs: Path, out: Path) -> None:
    """Back-test each coin with each parameter file under `inputs` (one of each in a datum)."""
    coins = sorted(path for path in (inputs / "standardise").iterdir() if path.is_dir())
    files = sorted((inputs / "params").glob("*/*.json"))
    if not coins or not files:
        raise BadInput("a back-test needs a coin in standardise and a file in params")
    for coin in coins:
        series = read_series(coin)
        folds = read_json(inputs / "split" / coin.name / "folds.json", FOLDS)
        for file in files:
            backtest_file(file, series, folds, out / coin.name)


def backtest_file(file: Path, series: Series, folds: dict[str, Any], out: Path) -> None:
    """Back-test the model of a parameter file on one coin."""
    family = FAMILIES.get(file.parent.name)
    if family is None:
        known = ", ".join(FAMILIES)
        raise BadInput(f"params/{file.parent.name}: there is no such family; known: {known}")
    params = family.read(file)
    card = {"params_sha256": file_sha256(file), "model": f"{family.name}.{file.stem}"}
    backtest(series, folds, family, params, card, out)


def backtest(
    series: Series, folds: dict[str, Any], family: Family, params: Params, named: dict[str, Any], out: Path
) -> None:
    """Write what one model would have said of one coin, or that there is too little to say it from."""
    rows = out_of_sample(series, folds, params, family)
    card = {
        "schema": BACKTEST,
        "slug": series.slug,
        "rows": len(series),
        "params": dict(params),
        "example": family.example,
        "global": False,
        "refits": rows.refits,
        **named,
    }
    # The longest horizon has the fewest, unless days without a quote keep a rhythm: then some other may have none.
    counts = np.count_nonzero(~np.isnan(rows.actual), axis=0)
    if counts.min() < family.min_residuals:
        write_json(
            out / f"{card['model']}.json", {**card, "status": "skipped", "reason": "few_residuals", "n": 0}
        )
    else:
        first = first_origin(series, folds)
        write_outcomes(out, {**card, "status": "ok"}, series, rows, folds["horizons"], first)


if __name__ == "__main__":
    main(run, batching=True)
