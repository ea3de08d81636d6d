"""The naive model: no move is expected.

Every other model is measured against it, and ten days ahead none of them is reliably better.

Read next: train_naive.py, choose.py (when another model is shown).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from steps.crypto.series import Array


@dataclass(frozen=True)
class Naive:
    """The model that expects no move."""

    def predict(self, frames: Array) -> Array:
        return np.zeros(len(frames))
