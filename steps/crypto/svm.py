"""The svm family: support vector regression (rbf) on frames of scaled returns.

Inputs and target are in volatilities, so C, epsilon and gamma mean the same for a coin at 3,600 dollars and
for one at 0.0000003; far from everything seen, an rbf model says "no move", not a price of long ago. Its loss
is absolute, which is what the scores are.

Read next: boosting.py, train_svm.py (which stores it).
"""

from __future__ import annotations

from pathlib import Path

import joblib
from sklearn.svm import SVR

from steps.crypto.family import Family, Params
from steps.crypto.feature_groups import OWN_GROUPS
from steps.crypto.forecast import Model
from steps.crypto.series import Array


def fit(frames: Array, targets: Array, params: Params) -> Model:
    # The newest rows only: the cost of a fit grows with the square of their number.
    newest = slice(-params["max_rows"], None)
    model = SVR(kernel="rbf", C=params["C"], epsilon=params["epsilon"], gamma=params["gamma"])
    return model.fit(frames[newest], targets[newest])  # type: ignore[no-any-return]


def save(model: Model, path: Path) -> None:
    joblib.dump(model, path)


SVM = Family(
    name="svm",
    fields={
        "lags": int,
        "C": float,
        "epsilon": float,
        "gamma": float,
        "max_rows": int,
        "min_rows": int,
        "refit_every": int,
    },
    libraries=("joblib", "numpy", "sklearn"),
    file="model.joblib",
    fit=fit,
    save=save,
    groups=OWN_GROUPS,
    describe=lambda model: {"support_vectors": len(model.support_)},  # type: ignore[attr-defined]
)
