"""Train stage of the lstm family: a small LSTM over frames of scaled returns.

Of all stages this one pays for datum batching: TensorFlow's import and the network's tracing happen once per
worker, each coin after that costs its own gradient steps only.

Read next: training.py, lstm_network.py (the fit), lstm_forward.py (the forecast).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pachlet.step import main
from steps.crypto.forecast import Model
from steps.crypto.lstm_forward import Lstm, save_weights
from steps.crypto.lstm_network import fit
from steps.crypto.training import Family, train


def save(model: Model, path: Path) -> None:
    assert isinstance(model, Lstm)
    save_weights(model, path)


def describe(model: Model) -> dict[str, Any]:
    assert isinstance(model, Lstm)
    return {"gradient_steps": model.gradient_steps, "best_epoch": model.best_epoch}


LSTM = Family(
    name="lstm",
    fields={
        "lags": int,
        "units": int,
        "rate": float,
        "epochs": int,
        "batch": int,
        "patience": int,
        "seed": int,
        "min_rows": int,
        "refit_every": int,
    },
    libraries=("keras", "numpy", "safetensors", "tensorflow"),
    file="model.safetensors",
    fit=fit,
    save=save,
    describe=describe,
)


def run(inputs: Path, out: Path) -> None:
    train(LSTM, inputs, out)


if __name__ == "__main__":
    main(run, batching=True)
