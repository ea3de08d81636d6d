"""The lstm family: a small LSTM over frames of scaled returns.

TensorFlow is imported by the first fit, so that what only reads parameters or the other families does not wait
for it; after that each coin costs its own gradient steps only.

Read next: lstm_network.py (the fit), lstm_forward.py (the forecast), train_lstm.py (which stores it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steps.crypto.family import Family, Params
from steps.crypto.feature_groups import PLAIN
from steps.crypto.forecast import Model
from steps.crypto.lstm_forward import Lstm, save_weights
from steps.crypto.series import Array

# What the fit reads of a parameter file; the global models share it.
NETWORK: dict[str, type] = {
    "units": int,
    "rate": float,
    "epochs": int,
    "batch": int,
    "patience": int,
    "seed": int,
}


def fit(frames: Array, targets: Array, params: Params) -> Model:
    from steps.crypto import lstm_network

    return lstm_network.fit(frames, targets, params)


def save(model: Model, path: Path) -> None:
    assert isinstance(model, Lstm)
    save_weights(model, path)


def describe(model: Model) -> dict[str, Any]:
    assert isinstance(model, Lstm)
    return {"gradient_steps": model.gradient_steps, "best_epoch": model.best_epoch}


LSTM = Family(
    name="lstm",
    fields={"lags": int, **NETWORK, "min_rows": int, "refit_every": int},
    libraries=("keras", "numpy", "safetensors", "tensorflow"),
    file="model.safetensors",
    fit=fit,
    save=save,
    groups=PLAIN,  # a sequence, which has no place for what stands beside it
    describe=describe,
)
