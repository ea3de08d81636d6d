"""The seed family: the recipes of the forecasting programs of 2017, kept as examples of what the evaluation rejects.

All are fitted anew at each origin, on the prices of the last `points` days, as the originals did. Those over time keep
their bug: the first forecast is that for the day after tomorrow, since the original began to count one too late.

    linear      least squares against the day's number
    svr         support vector regression on prices in dollars, rbf with gamma = 0.1: it falls back to its intercept a
                few days outside of what it saw
    svr_poly    the same of degree 2, with the gamma that scikit-learn has today where none is given; with that of
                2017, which is 1, it is off by hundreds of times
    svr_linear  the same with a straight line
    lstm        the network of seed_network.py, which says what is wrong with it

With C = 1000 on numbers that are not scaled, libsvm does not converge for the last two, not in millions of iterations:
they stop at ITERATIONS, say so in the log, and what they say then is what is scored. A forecast may be a price below
zero; a hundredth of the last price stands for that here, where a log needs a positive number.

They are not to be used: their parameter files are in data/scores and not in the main job's.

Read next: families.py, seed_network.py, ../../pipelines/scores.py (where they lose).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVR

from pachlet.step import BadInput
from steps.crypto.family import Family, Params
from steps.crypto.features import Indexes
from steps.crypto.forecast import HORIZON
from steps.crypto.series import Array, Series

LOWEST = 0.01  # of the last price
ITERATIONS = 10_000  # of libsvm, for a fit that does not converge
C = 1e3
WINDOWED = 53  # prices that the network needs: a window, its target, and the one that it drops

Recipe = Callable[[Array], Array]
"""From the known prices, oldest first, to the next HORIZON."""


def paths(series: Series, at: Indexes, params: Params) -> Array:
    """Forecast from each origin on its own."""
    recipe = RECIPES.get(params["method"])
    if recipe is None:
        raise BadInput(f"the seed family has no method {params['method']!r}; known: {', '.join(RECIPES)}")
    price = np.exp(series.log_close)
    moves = np.empty((len(at), HORIZON))
    stopped = 0
    for row, origin in enumerate(at):
        known = price[max(0, origin + 1 - params["points"]) : origin + 1]
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ConvergenceWarning)
            said = recipe(known)
        stopped += bool(told)
        moves[row] = np.log(np.maximum(said / known[-1], LOWEST))
    if stopped:
        print(f"{series.slug}: {stopped} of {len(at)} fits had not converged after {ITERATIONS:,} iterations")
    return moves


def asked(known: Array) -> Array:
    """The days' numbers: one too late, as in the original, so that the day after the last one is never asked for."""
    return len(known) + 1 + np.arange(HORIZON)


def straight(known: Array) -> Array:
    result: Array = np.polyval(np.polyfit(np.arange(len(known)), known, 1), asked(known))
    return result


def support(model: SVR) -> Recipe:
    """The recipe of a support vector regression over time."""

    def say(known: Array) -> Array:
        result: Array = model.fit(np.arange(len(known))[:, None], known).predict(asked(known)[:, None])
        return result

    return say


def network(known: Array) -> Array:
    if len(known) < WINDOWED:
        raise BadInput(
            f"the seed's network needs {WINDOWED} prices, and {len(known)} were known at an origin"
        )
    # Here, so that who wants another family does not wait for TensorFlow.
    from steps.crypto import seed_network

    return seed_network.forecast(known, HORIZON)


RECIPES: Mapping[str, Recipe] = {
    "linear": straight,
    "svr": support(SVR(kernel="rbf", C=C, gamma=0.1)),
    "svr_poly": support(SVR(kernel="poly", C=C, degree=2, max_iter=ITERATIONS)),
    "svr_linear": support(SVR(kernel="linear", C=C, max_iter=ITERATIONS)),
    "lstm": network,
}
SEED = Family(
    name="seed",
    fields={"method": str, "lags": int, "points": int, "every": int, "min_rows": int},
    libraries=("numpy", "sklearn"),
    paths=paths,
    min_residuals=2,  # where each forecast is dear there are few
    example=True,
)
