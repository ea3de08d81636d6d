"""Fit a model on the rows of all coins: `method` in its parameter file says which.

    svm        support vector regression (rbf) on at most `max_rows` rows, drawn by `seed`
    lad        a linear model with the least absolute error, by iteratively reweighted least squares
    boosting   gradient boosted trees on the absolute error
    lstm       a small LSTM on the absolute error
    blend      the mean of the models in `members`, times `shrink`

What it is shown may be chosen by `features` (feature_groups.py), what it is asked for by `label` (panel.py).

All have an absolute error: what is learnt from eighty coins' squared errors is the drift of the few that rose most.

Read next: global_models.py (how they forecast), backtest_global.py, train_global.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.svm import SVR

from pachlet.step import BadInput
from steps.crypto import boosting, lstm
from steps.crypto.cards import PARAMS, read_fields
from steps.crypto.feature_groups import GROUPS, PLAIN, read_groups
from steps.crypto.forecast import Model
from steps.crypto.formats import read_json
from steps.crypto.global_models import Blend, Kernel, Linear
from steps.crypto.panel import LABELS
from steps.crypto.series import Array

Params = Mapping[str, Any]

FIELDS: dict[str, dict[str, type]] = {
    "svm": {"C": float, "epsilon": float, "gamma": float, "max_rows": int, "seed": int},
    "lad": {"ridge": float},
    "boosting": boosting.TREES,
    "lstm": lstm.NETWORK,
    "blend": {"members": list, "shrink": float},
}
OPTIONAL: dict[str, type] = {"features": list, "label": str}
EVERY: dict[str, type] = {"method": str, "lags": int, "rows": str, "min_rows": int, "refit_every": int}
LIBRARIES = ("joblib", "numpy", "sklearn")

# Of the reweighting: rounds, and the error below which a row counts no more than that.
ROUNDS = 40
SMALL = 1e-3


def read_global(path: Path) -> dict[str, Any]:
    """Read the parameter file of a model for all coins, and those of its members."""
    params = read_json(path, PARAMS)
    name = f"params/{path.parent.name}/{path.name}"
    check_global(params, name)
    return params


def check_global(params: Mapping[str, Any], name: str) -> None:
    """Check parameters that are said to be of a model for all coins; `name` is what messages call them."""
    if params.get("family") != "global":
        raise BadInput(f'{name}: "family" must be "global", not {params.get("family")!r}')
    fields = {key: value for key, value in params.items() if key not in ("family", "schema")}
    check(fields, name, EVERY, OPTIONAL)
    if params.get("label", LABELS[0]) not in LABELS:
        raise BadInput(f"{name}: there is no label {params['label']!r}; known: {', '.join(LABELS)}")
    read_groups(params, name, PLAIN if "lstm" in methods_in(params) else GROUPS)


def methods_in(params: Mapping[str, Any]) -> set[str]:
    """Return the methods of a model and of its members."""
    return {params["method"]}.union(*(methods_in(member) for member in params.get("members", [])))


def check(
    fields: dict[str, Any], name: str, beside: Mapping[str, type], optional: Mapping[str, type] | None = None
) -> None:
    """Check a method's parameters, and its members'."""
    method = fields.get("method")
    if not isinstance(method, str) or method not in FIELDS:
        raise BadInput(f"{name}: there is no method {method!r}; known: {', '.join(FIELDS)}")
    read_fields(fields, name, {**beside, **FIELDS[method]}, optional)
    if method == "blend":
        if not fields["members"] or not all(isinstance(each, dict) for each in fields["members"]):
            raise BadInput(f"{name}: 'members' must be parameters of other methods, at least one")
        for number, member in enumerate(fields["members"], start=1):
            check(member, f"{name}, member {number}", {"method": str})


def fit(frames: Array, targets: Array, params: Params) -> Model:
    """Fit the model that the parameters describe."""
    method = params["method"]
    if method == "svm":
        return fit_kernel(frames, targets, params)
    if method == "lad":
        return Linear(least_absolute(frames, targets, params["ridge"]))
    if method == "boosting":
        return boosting.fit(frames, targets, params)
    if method == "lstm":
        return lstm.fit(frames, targets, {"lags": frames.shape[1], **params})
    members = [fit(frames, targets, member) for member in params["members"]]
    return Blend(members, params["shrink"])


def fit_kernel(frames: Array, targets: Array, params: Params) -> Kernel:
    """Fit on a sample of the rows: the cost of a fit grows with the square of their number."""
    count = min(params["max_rows"], len(targets))
    drawn = np.sort(np.random.default_rng(params["seed"]).choice(len(targets), count, replace=False))
    model = SVR(kernel="rbf", C=params["C"], epsilon=params["epsilon"], gamma=params["gamma"])
    model.fit(frames[drawn], targets[drawn])
    return Kernel(model.support_vectors_, model.dual_coef_[0], float(model.intercept_[0]), params["gamma"])


def least_absolute(frames: Array, targets: Array, ridge: float) -> Array:
    """The weights with the least absolute error (Schlossmacher 1973), a little ridge against collinear days."""
    weight = np.ones(len(targets))
    penalty = ridge * np.eye(frames.shape[1])
    for _ in range(ROUNDS):
        weighted = frames * weight[:, None]
        solution = np.linalg.solve(weighted.T @ frames + penalty, weighted.T @ targets)
        weight = 1 / np.maximum(np.abs(targets - frames @ solution), SMALL)
    result: Array = solution
    return result
