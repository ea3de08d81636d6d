"""The seed's own job: the newest 200 prices of a coin, 10 steps ahead, by a model that is fitted to just them.

    python forecast_models.py linear                      a step: datum after datum, as pachlet hands them over
    python forecast_models.py linear --all PRICES OUT     all coins one after the other, nothing recorded

`linear` is a straight line over time. `lstm` is the seed's network (LSTM 50, dropout, LSTM 100, dropout, dense; windows
of 50 prices divided by their first, less 1; one epoch); it is built and traced once for a process, and its weights are
set back for each coin, which takes half the time of a new network each and changes no result. These are the models
that were shown, not good ones: ../steps/crypto has those.

The file is copied into an image, and Celery's workers import it, too: all ways do the same work.

Read next: forecasts.py (the benchmark), forecast_celery.py.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

POINTS, AHEAD, WINDOW = 200, 10, 50
Forecast = Callable[[Sequence[float]], list[float]]
"""From the closing prices of a coin, the oldest first, to the next ten."""


def read_closes(path: Path) -> list[float]:
    """Return the newest closing prices, the oldest first; rows that hold none are passed by."""
    closes = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            try:
                closes.append(float(str(row["Close"]).replace(",", "")))
            except (KeyError, ValueError):
                continue
    return closes[:POINTS][::-1]


def make_linear() -> Forecast:
    """Make the forecast by a straight line."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    def forecast(closes: Sequence[float]) -> list[float]:
        times = np.arange(len(closes) + AHEAD)[:, None]
        model = LinearRegression().fit(times[: len(closes)], np.asarray(closes))
        return [float(each) for each in model.predict(times[len(closes) :])]

    return forecast


def make_lstm() -> Forecast:
    """Make the forecast by the seed's network."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import numpy as np

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((WINDOW, 1)),
            keras.layers.LSTM(50, return_sequences=True),
            keras.layers.Dropout(0.2),
            keras.layers.LSTM(100),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(1),
        ]
    )
    model.compile(loss="mse", optimizer="rmsprop")
    model.optimizer.build(model.trainable_variables)
    state = [*model.variables, *model.optimizer.variables]
    beginning = [each.numpy() for each in state]

    def forecast(closes: Sequence[float]) -> list[float]:
        if len(closes) <= WINDOW + AHEAD:
            return []
        for variable, value in zip(state, beginning, strict=True):
            variable.assign(value)
        prices = np.asarray(closes, dtype="float64")
        windows = np.lib.stride_tricks.sliding_window_view(prices, WINDOW + 1)
        scaled = windows / windows[:, :1] - 1
        model.fit(
            scaled[:, :-1, None], scaled[:, -1], batch_size=512, epochs=1, validation_split=0.05, verbose=0
        )
        for _ in range(AHEAD):
            last = prices[-WINDOW:]
            step = model.predict_on_batch((last / last[0] - 1)[None, :, None])
            prices = np.append(prices, (float(step[0, 0]) + 1) * last[0])
        return [float(each) for each in prices[-AHEAD:]]

    return forecast


MODELS: dict[str, Callable[[], Forecast]] = {"linear": make_linear, "lstm": make_lstm}


def write_forecast(forecast: Forecast, source: Path, out: Path) -> None:
    """Forecast the coin of a price file into a file of its name."""
    closes = read_closes(source)
    (out / f"{source.stem}.json").write_text(json.dumps(forecast(closes) if closes else []))


def main(words: Sequence[str]) -> None:
    """Run a model on all files of a folder, or on what a worker hands over."""
    name, *rest = words
    forecast = MODELS[name]()
    if rest:
        _, prices, out = rest
        for source in sorted(Path(prices).iterdir()):
            write_forecast(forecast, source, Path(out))
        return
    from pachlet.step import main as serve

    def run(inputs: Path, out: Path) -> None:
        write_forecast(forecast, Path(os.environ["prices"]), out)  # noqa: SIM112 (the input's name)

    serve(run, batching=True)


_made: dict[str, Any] = {}


def forecast_file(name: str, source: str) -> list[float]:
    """Forecast the coin of a price file with a model that this process keeps."""
    if name not in _made:
        _made[name] = MODELS[name]()
    made: Forecast = _made[name]
    return made(read_closes(Path(source)))


if __name__ == "__main__":
    main(sys.argv[1:])
