"""What all train stages of one coin do: fit a family of models on all that is known, write model and card.

How good a model is, is none of a train stage's business: backtest.py makes it forecast days that it had not seen,
score.py says how far off it was, and compare.py what may be shown. A coin with too little history is an answer,
`status: skipped` with the reason, not an error.

Read next: train_linear.py (a stage), family.py, cards.py, predict.py (who reads the models).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pachlet.step import BadInput
from steps.crypto.cards import CARD, file_sha256, lib_versions
from steps.crypto.family import Family, Params
from steps.crypto.feature_groups import groups_of, training_rows
from steps.crypto.formats import write_json
from steps.crypto.series import Series, read_series

Days = npt.NDArray[np.bool_]
ChooseDays = Callable[[Series, int, str], Days | None]


def train(
    families: Sequence[Family], inputs: Path, out: Path, choose: ChooseDays = lambda series, lags, rows: None
) -> None:
    """Train the families for each coin and parameter file under `inputs` (one of each in a datum).

    `choose` says which days meet a condition in SQL: handed in, so that who has none needs no database in its image.
    """
    coins = sorted(path for path in (inputs / "standardise").iterdir() if path.is_dir())
    files = [
        (each, file) for each in families for file in sorted((inputs / "params" / each.name).glob("*.json"))
    ]
    if not coins or not files:
        names = " or ".join(f"params/{each.name}" for each in families)
        raise BadInput(f"a train stage needs a coin in standardise and a file in {names}")
    for coin in coins:
        series = read_series(coin)
        for family, file in files:
            folder = out / coin.name / f"{family.name}.{file.stem}"
            folder.mkdir(parents=True)
            params = family.read(file)
            chosen = choose(series, params["lags"], params["rows"]) if "rows" in params else None
            card = train_coin(family, series, params, folder, chosen)
            write_json(folder / "card.json", {**card, "pid": file.stem, "params_sha256": file_sha256(file)})


def train_coin(
    family: Family, series: Series, params: Params, folder: Path, chosen: Days | None
) -> dict[str, Any]:
    """Fit the family on all days, or those that are chosen, store it in `folder`, and return its card."""
    assert family.fit is not None
    assert family.save is not None
    frames, targets = training_rows(series, params["lags"], len(series) - 1, groups_of(params), chosen)
    card: dict[str, Any] = {
        "schema": CARD,
        "slug": series.slug,
        "family": family.name,
        "params": dict(params),
        "features": {"lags": params["lags"], "scale": "vol30", "target": "logret/vol30"},
        "train_end": series.dates[-1],
        "train_rows": len(targets),
        "data_sha256": series.sha256,
        "lib_versions": lib_versions(family.libraries),
    }
    if len(targets) < params["min_rows"]:
        reason = "short_history" if chosen is None else "few_rows"
        return {**card, "status": "skipped", "reason": reason}
    model = family.fit(frames, targets, params)
    family.save(model, folder / family.file)
    return {
        **card,
        "status": "ok",
        "fit": family.describe(model),
        "model": {"file": family.file, "sha256": file_sha256(folder / family.file)},
    }
