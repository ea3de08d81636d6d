"""The LSTM's forward pass in numpy, and its file of weights.

Predicting needs no TensorFlow: a layer of sixteen units is four matrix products a day. The train stage judges
the model with this same function, so its residuals are of exactly what predict will say; a test holds it to
Keras within 1e-6. Weights are safetensors: no code in the file, and the same weights are the same bytes.

Read next: train_lstm.py (which makes the weights), predict.py (which reads them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from pachlet.step import BadInput
from steps.crypto.series import Array

# In Keras's layout: the gates input, forget, cell, output lie side by side in the last dimension.
NAMES = ("kernel", "recurrent", "bias", "dense_kernel", "dense_bias")


@dataclass(frozen=True)
class Lstm:
    """One LSTM layer read once over a frame, and a dense unit on its last state."""

    weights: Mapping[str, Array]
    gradient_steps: int = 0
    best_epoch: int = 0

    def predict(self, frames: Array) -> Array:
        kernel, recurrent, bias, dense_kernel, dense_bias = (self.weights[name] for name in NAMES)
        hidden = np.zeros((len(frames), recurrent.shape[0]))
        cell = np.zeros_like(hidden)
        for day in range(frames.shape[1]):
            gates = frames[:, day, None] @ kernel + hidden @ recurrent + bias
            entry, forget, candidate, output = np.split(gates, 4, axis=1)
            cell = sigmoid(forget) * cell + sigmoid(entry) * np.tanh(candidate)
            hidden = sigmoid(output) * np.tanh(cell)
        return (hidden @ dense_kernel + dense_bias)[:, 0]


def sigmoid(value: Array) -> Array:
    # By tanh: exp(-x) would overflow for a gate that is firmly shut.
    result: Array = 0.5 * (np.tanh(0.5 * value) + 1)
    return result


def save_weights(model: Lstm, path: Path) -> None:
    """Write the weights as float32, in a fixed order."""
    save_file(
        {name: np.ascontiguousarray(model.weights[name], dtype=np.float32) for name in sorted(NAMES)}, path
    )


def load_weights(path: Path) -> Lstm:
    """Read the weights; they are used as float64 so that sums do not depend on how rows are grouped."""
    try:
        weights = load_file(path)
    except Exception as error:  # safetensors raises a class of its own that is no public base
        raise BadInput(f"{path.name} holds no readable safetensors: {error}") from error
    if sorted(weights) != sorted(NAMES):
        raise BadInput(f"{path.name} holds {sorted(weights)}, not the weights of an LSTM: {sorted(NAMES)}")
    return Lstm({name: weights[name].astype(np.float64) for name in NAMES})
