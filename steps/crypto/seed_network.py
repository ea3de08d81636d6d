"""The forecasting program's LSTM of 2017, as it was written: an example of what the evaluation rejects.

Two layers of 50 and 100 units with dropout, mean squared error, RMSprop; windows of 51 prices, each divided by its
first, less 1; batches of 512, one epoch, the newest 5 % of the windows held back. The mistakes are kept on purpose:

- 200 prices give some 150 windows and a batch holds 512, so training is one gradient step: what speaks is nearly the
  network's random beginning.
- The last window is dropped, and a frame lacks its window's last price, so the newest frame ends two prices before the
  last: the first day that is "forecast" is known already.
- No prediction is fed back: the program threw away what np.append returned, so the frame shrinks by a day each step.
- Step i is scaled by the price of 50 - i days ago, another base each step.
- A window is measured from a price of 50 days back, so a coin that has grown since has targets of any size.

Two things differ. The random beginning is drawn once and set back for each forecast, so that the same prices give the
same answer; the program drew anew each time. And the gates' activation is today's sigmoid, no longer Keras 1's
piecewise one.

Read next: seeds.py (who asks), lstm_network.py (how TensorFlow is set up, and a network that learns something).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from steps.crypto.lstm_network import Beginning, keras, tf
from steps.crypto.series import Array

WINDOW = 50
HELD_BACK = 0.05
SEED = 0


class Network:
    """The network of the program, with its traced functions and its beginning."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(SEED)
        self.model = keras.Sequential(
            [
                keras.Input((None, 1)),
                keras.layers.LSTM(50, return_sequences=True),
                keras.layers.Dropout(0.2, seed=SEED),
                keras.layers.LSTM(100),
                keras.layers.Dropout(0.2, seed=SEED),
                keras.layers.Dense(1),
            ]
        )
        self.optimizer = keras.optimizers.RMSprop()
        self.optimizer.build(self.model.trainable_variables)
        self.beginning = Beginning([*self.model.variables, *self.optimizer.variables])
        rows, values = tf.TensorSpec((None, None, 1), tf.float32), tf.TensorSpec((None,), tf.float32)
        self.step = tf.function(self._step, input_signature=[rows, values])
        self.say = tf.function(lambda rows: self.model(rows, training=False)[:, 0], input_signature=[rows])

    def _step(self, rows: Any, values: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self.model(rows, training=True)[:, 0] - values))
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


@cache
def network() -> Network:
    """The process's network: built and traced once."""
    return Network()


def forecast(known: Array, days: int) -> Array:
    """Return the prices that the program says come after `known`; these are more than WINDOW + 2, oldest first."""
    net = network()
    net.beginning.set_back()
    windows = sliding_window_view(known, WINDOW + 1)[:-1]  # the last one is dropped, as in the program
    scaled = (windows / windows[:, :1] - 1).astype(np.float32)
    learnt = int(len(scaled) * (1 - HELD_BACK)) or len(scaled)
    net.step(scaled[:learnt, :-1, None], scaled[:learnt, -1])
    frame, base = scaled[-1:, :-1, None], known[-WINDOW:]
    said = np.empty(days)
    for day in range(days):
        said[day] = base[day] * (float(net.say(frame)[0]) + 1)
        frame = frame[:, 1:]  # it shrinks: the prediction was appended to nothing
    return said
