"""The models that are one and the same for all coins, as they forecast; how they are fitted is elsewhere.

Plain arrays and a few lines of numpy each, so that predicting needs no more than numpy, and scikit-learn for trees.

Read next: global_fit.py (how they come about), forecast.py (how they become a path).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steps.crypto.forecast import Model
from steps.crypto.series import Array

# Frames at a time: a block of the kernel matrix that stays in the processor's cache.
BLOCK = 512


@dataclass(frozen=True)
class Linear:
    """A weighted sum of the last returns, without an intercept: that would be a drift."""

    weights: Array

    def predict(self, frames: Array) -> Array:
        result: Array = frames @ self.weights
        return result


@dataclass(frozen=True)
class Kernel:
    """Support vector regression with an rbf kernel, as scikit-learn has it, by matrix products."""

    support: Array
    dual: Array
    intercept: float
    gamma: float

    def predict(self, frames: Array) -> Array:
        square = (self.support**2).sum(axis=1)
        result = np.empty(len(frames))
        for start in range(0, len(frames), BLOCK):
            block = frames[start : start + BLOCK]
            distance = (block**2).sum(axis=1)[:, None] + square - 2 * block @ self.support.T
            result[start : start + BLOCK] = np.exp(-self.gamma * distance) @ self.dual + self.intercept
        return result


@dataclass(frozen=True)
class Blend:
    """The mean of other models, shrunk towards no move."""

    members: Sequence[Model]
    shrink: float

    def predict(self, frames: Array) -> Array:
        result: Array = self.shrink * np.mean([member.predict(frames) for member in self.members], axis=0)
        return result
