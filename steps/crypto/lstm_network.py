"""The LSTM in Keras: one network per worker process, trained anew for each coin.

Building and tracing a network takes longer than training it on one coin, so a process keeps one per shape and
sets weights and optimizer back to their seeded beginning before each fit. Nothing is left of the coin before:
a coin's weights are the same bytes whichever coins came first. Shuffling is numpy's, seeded per fit; ops are
deterministic and run on one thread.

The output layer begins at zero, so before its first step the network is the naive forecast; the epoch with
the best error on the newest part of the training rows is kept, which may be that one.

Read next: lstm_forward.py (the same network in numpy), train_lstm.py.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault(
    "TF_ENABLE_ONEDNN_OPTS", "0"
)  # oneDNN picks kernels by CPU: other machines, other bytes

from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from steps.crypto.lstm_forward import NAMES, Lstm
from steps.crypto.series import Array
from steps.crypto.training import Params

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()

# The newest share of the training rows is held back to say when to stop.
STOP_SHARE = 0.15


class Beginning:
    """What variables hold now, so that they can be set back to it: weights, moments, step counters, seeds."""

    def __init__(self, variables: list[Any]) -> None:
        self._variables = variables
        self._values = [variable.numpy() for variable in variables]

    def set_back(self) -> None:
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)


class Network:
    """A network of one shape with its traced training functions."""

    def __init__(self, lags: int, units: int, rate: float, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self.model = keras.Sequential(
            [
                keras.Input((lags, 1)),
                keras.layers.LSTM(
                    units,
                    unroll=True,
                    kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                    recurrent_initializer=keras.initializers.Orthogonal(seed=seed),
                ),
                keras.layers.Dense(1, kernel_initializer="zeros"),
            ]
        )
        self.optimizer = keras.optimizers.Adam(rate)
        self.optimizer.build(self.model.trainable_variables)
        self.beginning = Beginning([*self.model.variables, *self.optimizer.variables])
        row = tf.TensorSpec((None, lags, 1), tf.float32)
        value = tf.TensorSpec((None,), tf.float32)
        order = tf.TensorSpec((None, None), tf.int32)
        self.epoch = tf.function(self._epoch, input_signature=[row, value, order])
        self.error = tf.function(self._error, input_signature=[row, value])

    def _epoch(self, rows: Any, values: Any, order: Any) -> None:
        for batch in order:  # AutoGraph makes this a loop inside the graph
            with tf.GradientTape() as tape:
                loss = self._error(tf.gather(rows, batch), tf.gather(values, batch))
            variables = self.model.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def _error(self, rows: Any, values: Any) -> Any:
        return tf.reduce_mean(tf.abs(self.model(rows, training=True)[:, 0] - values))

    def weights(self) -> dict[str, Array]:
        """The weights by name, as float64 of their float32 values."""
        arrays = [np.asarray(variable, dtype=np.float64) for variable in self.model.trainable_variables]
        return dict(zip(NAMES, arrays, strict=True))


@cache
def network(lags: int, units: int, rate: float, seed: int) -> Network:
    """The process's network of this shape: built and traced once."""
    return Network(lags, units, rate, seed)


def fit(frames: Array, targets: Array, params: Params) -> Lstm:
    """Train until `patience` epochs bring nothing better on the newest rows, or `epochs` are over."""
    net = network(params["lags"], params["units"], params["rate"], params["seed"])
    net.beginning.set_back()
    rows, values = frames[:, :, None].astype(np.float32), targets.astype(np.float32)
    held = max(1, int(len(rows) * STOP_SHARE))
    rows, values, late_rows, late_values = rows[:-held], values[:-held], rows[-held:], values[-held:]
    random = np.random.default_rng(params["seed"])
    batch = min(params["batch"], len(rows))
    best, best_epoch, kept = float(net.error(late_rows, late_values)), 0, net.weights()
    steps = 0
    for epoch in range(1, params["epochs"] + 1):
        # The incomplete batch at the end is left out; which rows it holds changes with each shuffle.
        shuffled = random.permutation(len(rows))[: len(rows) // batch * batch].astype(np.int32)
        net.epoch(rows, values, shuffled.reshape(-1, batch))
        steps += len(shuffled) // batch
        error = float(net.error(late_rows, late_values))
        if error < best:
            best, best_epoch, kept = error, epoch, net.weights()
        if epoch - best_epoch >= params["patience"]:
            break
    return Lstm(kept, gradient_steps=steps, best_epoch=best_epoch)
