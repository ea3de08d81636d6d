"""Turn a model of one day into a path of ten: the recursion.

The state is the frame of the last scaled log-returns. Each step predicts the next one, appends it, drops the
oldest and adds it to the running log price, so the frame keeps its length, every prediction is fed back, and
step one is the one-day forecast itself. The scale is the origin's volatility throughout: a model that says 0
gives a flat line at the last price, one that says c gives a straight line in log price. Written for many
origins at once, because the walk-forward asks for hundreds.

Read next: intervals.py (why the interval does not come from here), predict.py (the one path that is
published).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from steps.crypto.features import LIMIT
from steps.crypto.series import Array

HORIZON = 10


class Model(Protocol):
    """Anything fitted: scikit-learn's estimators are already of this shape."""

    def predict(self, frames: Array, /) -> Array:
        """Return each frame's next log-return in volatilities, whatever the other frames are."""


def recurse(
    model: Model,
    frames: Array,
    scale: Array,
    horizon: int = HORIZON,
    beside: Callable[[int], Array] | None = None,
) -> Array:
    """Return the log move from the last price at 1..horizon days, one row per frame.

    `beside(day)` is what the model is shown beside the returns, `day` days after the origin. No single step may exceed
    LIMIT volatilities, so a path stays finite whatever the model says.
    """
    state = frames.copy()
    move = np.zeros(len(frames))
    path = np.empty((len(frames), horizon))
    for day in range(horizon):
        more = None if beside is None else beside(day)
        asked = state if more is None or not more.shape[1] else np.column_stack([state, more])
        step = np.clip(model.predict(asked), -LIMIT, LIMIT)
        move = move + step * scale
        path[:, day] = move
        if state.shape[1]:
            state = np.column_stack([state[:, 1:], step])
    return path
