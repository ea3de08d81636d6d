"""The linear family: ridge regression of the next scaled return on the last ones.

Regularised, because on daily returns the honest coefficients are small (the lag-one autocorrelation is about
-0.12) and plain least squares on ten lags mostly fits noise. Without an intercept, because that would be a
drift learnt from one bull market, fed back ten times: it wins in the year that it was learnt from and loses
in the next quarter.

Read next: svm.py, train_linear.py (which stores it), backtest.py (which judges it).
"""

from __future__ import annotations

from pathlib import Path

import joblib
from sklearn.linear_model import Ridge

from steps.crypto.family import Family, Params
from steps.crypto.feature_groups import OWN_GROUPS
from steps.crypto.forecast import Model
from steps.crypto.series import Array


def fit(frames: Array, targets: Array, params: Params) -> Model:
    # "cholesky" is exact and takes no random start; the default may pick another solver in another version.
    return Ridge(alpha=params["alpha"], solver="cholesky", fit_intercept=False).fit(frames, targets)  # type: ignore[no-any-return]


def save(model: Model, path: Path) -> None:
    joblib.dump(model, path)


LINEAR = Family(
    name="linear",
    fields={"lags": int, "alpha": float, "min_rows": int, "refit_every": int},
    libraries=("joblib", "numpy", "sklearn"),
    file="model.joblib",
    fit=fit,
    save=save,
    groups=OWN_GROUPS,
    describe=lambda model: {"coefficients": [float(f"{value:.6g}") for value in model.coef_]},  # type: ignore[attr-defined]
)
