"""Train stage of the naive family: tomorrow is today, at every horizon.

There is nothing to fit, yet it is a model like the others: it has a file with a digest, a card, and the
residuals that make its intervals, which are most of what is honest to say about a coin ten days ahead.

Read next: training.py (what all families share), train_linear.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import main
from steps.crypto.features import origins
from steps.crypto.forecast import HORIZON, Model
from steps.crypto.formats import write_json
from steps.crypto.naive import Naive
from steps.crypto.series import Array, Series
from steps.crypto.training import Family, Params, train
from steps.crypto.walkforward import OutOfSample, judge


def fit(frames: Array, targets: Array, params: Params) -> Naive:
    return Naive()


def save(model: Model, path: Path) -> None:
    write_json(path, {"schema": "crypto.naive/1", "step": 0.0})


def walk(series: Series, folds: dict[str, Any], params: Params, family: Family) -> OutOfSample:
    """Judge it on every observed day: what is never fitted is out of sample everywhere."""
    at = origins(series, params["lags"])
    at = at[series.observed[at]]
    return judge(series, at, np.zeros((len(at), HORIZON)), refits=0)


NAIVE = Family(
    name="naive",
    fields={"lags": int, "min_rows": int},
    libraries=("numpy",),
    file="model.json",
    fit=fit,
    save=save,
    walk=walk,
    min_residuals=10,  # every usable coin gets at least this forecast
)


def run(inputs: Path, out: Path) -> None:
    train(NAIVE, inputs, out)


if __name__ == "__main__":
    main(run, batching=True)
