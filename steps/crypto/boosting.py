"""The boosting family: gradient boosting of small trees on the absolute error (scikit-learn's, by histograms).

The absolute error, because the squared one learns the bull market's drift from a few great days and loses in the
middle. Few, small, slow trees: a coin has some hundred rows, and nearly all in them is noise.

Read next: svm.py, train_boosting.py (which stores it).
"""

from __future__ import annotations

from pathlib import Path

import joblib
from sklearn.ensemble import HistGradientBoostingRegressor

from steps.crypto.family import Family, Params
from steps.crypto.feature_groups import OWN_GROUPS
from steps.crypto.forecast import Model
from steps.crypto.series import Array

# What the fit reads of a parameter file; the global models share it.
TREES: dict[str, type] = {"trees": int, "rate": float, "leaves": int, "min_leaf": int}


def fit(frames: Array, targets: Array, params: Params) -> Model:
    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=params["trees"],
        learning_rate=params["rate"],
        max_leaf_nodes=params["leaves"],
        min_samples_leaf=params["min_leaf"],
        early_stopping=False,  # it would hold rows back at random
        random_state=0,
    )
    return model.fit(frames, targets)  # type: ignore[no-any-return]


def save(model: Model, path: Path) -> None:
    joblib.dump(model, path)


BOOSTING = Family(
    name="boosting",
    fields={"lags": int, **TREES, "min_rows": int, "refit_every": int},
    libraries=("joblib", "numpy", "sklearn"),
    file="model.joblib",
    fit=fit,
    save=save,
    groups=OWN_GROUPS,
)
