"""What all four train stages do: judge a family of models out of sample, fit it, write model and card.

The families differ only in how they fit and how they are stored; everything that decides whether the numbers
are honest (what may be seen when, what is scored, what the residuals are) is here once. A coin with too
little history is an answer, `status: skipped` with the reason, not an error.

Read next: train_linear.py (the shortest family), walkforward.py, cards.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput
from steps.crypto.cards import CARD, digits, file_sha256, lib_versions, read_params
from steps.crypto.features import training_rows
from steps.crypto.forecast import HORIZON, Model
from steps.crypto.formats import read_json, write_json
from steps.crypto.intervals import newest_tails
from steps.crypto.metrics import score
from steps.crypto.series import Array, Series, read_series
from steps.crypto.walkforward import OutOfSample, read_folds, walk_forward

Params = Mapping[str, Any]

FOLDS = "crypto.folds/1"

# Below this many known outcomes at any day ahead there is no interval worth writing down.
MIN_RESIDUALS = 30


@dataclass(frozen=True)
class Family:
    """How one family of models is fitted and stored."""

    name: str
    # The parameters that its files hold, all required.
    fields: Mapping[str, type]
    libraries: tuple[str, ...]
    file: str
    fit: Callable[[Array, Array, Params], Model]
    save: Callable[[Model, Path], None]
    # What the fit has to say about itself (steps taken, support vectors), for the card.
    describe: Callable[[Model], dict[str, Any]] = lambda model: {}
    # How it is judged out of sample; the naive family needs no folds.
    walk: Callable[[Series, dict[str, Any], Params, Family], OutOfSample] | None = None
    min_residuals: int = MIN_RESIDUALS


def train(family: Family, inputs: Path, out: Path) -> None:
    """Train the family for each coin and parameter file under `inputs` (one of each in a datum)."""
    coins = sorted(path for path in (inputs / "standardise").iterdir() if path.is_dir())
    files = sorted((inputs / "params" / family.name).glob("*.json"))
    if not coins or not files:
        raise BadInput(f"train-{family.name} needs a coin in standardise and a file in params/{family.name}")
    for coin in coins:
        series = read_series(coin)
        folds = read_json(inputs / "split" / coin.name / "folds.json", FOLDS)
        for file in files:
            folder = out / coin.name / f"{family.name}.{file.stem}"
            folder.mkdir(parents=True)
            params = read_params(file, family.name, family.fields)
            card = train_coin(family, series, folds, params, folder)
            write_json(folder / "card.json", {**card, "pid": file.stem, "params_sha256": file_sha256(file)})


def train_coin(
    family: Family, series: Series, folds: dict[str, Any], params: Params, folder: Path
) -> dict[str, Any]:
    """Judge the family on past days, fit it on all of them, store it in `folder`, and return its card."""
    card: dict[str, Any] = {
        "schema": CARD,
        "slug": series.slug,
        "family": family.name,
        "params": dict(params),
        "features": {"lags": params["lags"], "scale": "vol30", "target": "logret/vol30"},
        "train_end": series.dates[-1],
        "data_sha256": series.sha256,
        "lib_versions": lib_versions(family.libraries),
    }
    train_frames, targets = training_rows(series, params["lags"], len(series) - 1)
    card["train_rows"] = len(targets)
    if len(targets) < params["min_rows"]:
        return {**card, "status": "skipped", "reason": "short_history"}
    walk = family.walk or refit_on_folds
    rows = walk(series, folds, params, family)
    # The longest horizon has the fewest, unless days without a quote keep a rhythm: then some other may have none.
    if np.count_nonzero(~np.isnan(rows.actual), axis=0).min() < family.min_residuals:
        return {**card, "status": "skipped", "reason": "few_residuals"}
    model = family.fit(train_frames, targets, params)
    family.save(model, folder / family.file)
    return {
        **card,
        **judgement(series, folds, rows),
        "status": "ok",
        "fit": family.describe(model),
        "refits": rows.refits,
        "model": {"file": family.file, "sha256": file_sha256(folder / family.file)},
    }


def refit_on_folds(series: Series, folds: dict[str, Any], params: Params, family: Family) -> OutOfSample:
    """Judge by refitting on the folds, or on each n-th of them where refits are dear."""

    def fit(known_frames: Array, known_targets: Array) -> Model:
        return family.fit(known_frames, known_targets, params)

    return walk_forward(
        series,
        read_folds(series, folds, params["refit_every"]),
        fit,
        lags=params["lags"],
        min_rows=params["min_rows"],
    )


def judgement(series: Series, folds: dict[str, Any], rows: OutOfSample) -> dict[str, Any]:
    """The scores before the hold-out (the choice's), those in it (nobody's), and the intervals' ends."""
    start = holdout_row(series, folds)
    ends = [newest_tails(rows.residuals, column + 1) for column in range(HORIZON)]
    counts = np.count_nonzero(~np.isnan(rows.actual), axis=0)
    return {
        # An origin counts before the hold-out only if its farthest target does.
        "metrics_valid": score(rows, rows.origins + HORIZON < start),
        "metrics_holdout": score(rows, rows.origins >= start),
        "residuals": {
            str(column + 1): {"n": int(counts[column]), "lo": digits(low), "hi": digits(high)}
            for column, (low, high) in enumerate(ends)
        },
    }


def holdout_row(series: Series, folds: dict[str, Any]) -> int:
    """The first day of the hold-out; after the last day where there is none."""
    start = folds.get("holdout_start")
    return bisect_left(series.dates, start) if start else len(series) + HORIZON
