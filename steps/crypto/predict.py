"""Predict stage: read a coin's models and write its forecast for the next ten days.

Nothing is trained here. Each model gives a path by the same recursion, and 80 % intervals from the ends in its
own card; the forecast is the path of the one model that choose.py allows, and every model's own forecast stands
beside it as a candidate. Model files are checked against the digests in their cards, so what
is named is what was used.

Read next: forecast.py (the recursion), intervals.py, choose.py, ../../pipelines/crypto/predict.json (how
models arrive).
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import joblib

from pachlet.step import BadInput, main
from steps.crypto.cards import CARD, digits, file_sha256
from steps.crypto.choose import choose
from steps.crypto.features import frames, origins
from steps.crypto.forecast import Model, recurse
from steps.crypto.formats import read_json, write_json
from steps.crypto.intervals import nested
from steps.crypto.lstm_forward import load_weights
from steps.crypto.naive import Naive
from steps.crypto.series import Series, read_series

META = "crypto.series/1"
FORECAST = "crypto.forecast/1"

Ends = tuple[float, float]


def run(inputs: Path, out: Path) -> None:
    """Write /<slug>.json for each coin under `inputs` (one in a datum)."""
    coins = sorted(path for path in (inputs / "standardise").glob("*") if path.is_dir())
    if not coins:
        raise BadInput("predict got models but no series: is their coin gone from standardise?")
    for coin in coins:
        folders = sorted(path.parent for path in inputs.glob(f"train-*/{coin.name}/*/card.json"))
        name = read_json(coin / "meta.json", META)["name"]
        write_json(out / f"{coin.name}.json", forecast_coin(read_series(coin), name, folders))


def forecast_coin(series: Series, name: str, folders: list[Path]) -> dict[str, Any]:
    """Make the forecast of one coin from the model folders that there are."""
    cards = {folder: read_json(folder / "card.json", CARD) for folder in folders}
    usable = {folder: card for folder, card in cards.items() if card["status"] == "ok"}
    head = {
        "schema": FORECAST,
        "slug": series.slug,
        "name": name,
        "origin": series.dates[-1],
        "last": digits(series.last_price),
    }
    skipped = [
        {"model": model_id(card), "status": card["status"], "reason": card["reason"]}
        for card in cards.values()
        if card["status"] != "ok"
    ]
    if not any(card["family"] == "naive" for card in usable.values()):
        empty: dict[str, Any] = {"forecast": [], "candidates": skipped, "models": []}
        return {**head, **empty, "status": "skipped", "reason": "no_naive_model"}
    paths = {model_id(card): price_path(series, card, folder) for folder, card in usable.items()}
    shown = model_id(choose(usable.values()))
    return {
        **head,
        "status": "ok",
        "forecast": days(series, shown, paths[shown]),
        "candidates": [candidate(series, card, paths[model_id(card)]) for card in usable.values()] + skipped,
        "models": [
            {"id": model_id(card), "sha256": card["model"]["sha256"], "train_end": card["train_end"]}
            for card in usable.values()
        ],
    }


def model_id(card: dict[str, Any]) -> str:
    return f"{card['family']}.{card['pid']}"


def price_path(series: Series, card: dict[str, Any], folder: Path) -> list[tuple[float, Ends]]:
    """One model's (point, (low, high)) in prices for each day ahead, from the newest frame."""
    lags = card["params"]["lags"]
    newest = origins(series, lags)[-1:]
    if not len(newest) or newest[0] != len(series) - 1:
        raise BadInput(f"{series.slug}: too few days to show {model_id(card)} a frame of {lags} returns")
    scale = series.vol[newest]
    moves = recurse(load_model(card, folder), frames(series, lags, newest), scale)[0]
    path = []
    for day, move in enumerate(moves):
        tail = card["residuals"][str(day + 1)]
        low, high = (move + tail[end] * scale[0] for end in ("lo", "hi"))
        point, *ends = (math.exp(series.log_close[-1] + value) for value in (move, low, high))
        path.append((point, (ends[0], ends[1])))
    return path


def load_model(card: dict[str, Any], folder: Path) -> Model:
    """Load a model file after checking that it is the one that its card describes."""
    path = folder / card["model"]["file"]
    if file_sha256(path) != card["model"]["sha256"]:
        raise BadInput(f"{place(path)} is not the file that its card describes: the digests differ")
    if card["family"] == "naive":
        return Naive()
    if card["family"] == "lstm":
        return load_weights(path)
    if card["family"] in ("linear", "svm"):
        model: Model = joblib.load(path)
        return model
    raise BadInput(f"{place(path)}: predict knows no family {card['family']!r}")


def place(path: Path) -> str:
    return "/".join(path.parts[-3:])


def days(series: Series, model: str, path: list[tuple[float, Ends]]) -> list[dict[str, Any]]:
    """Put dates to a model's path and nest its intervals: day h is h calendar days after the last known one."""
    origin = date.fromisoformat(series.dates[-1])
    ends = nested(own for _, own in path)
    return [
        {
            "h": day,
            "date": (origin + timedelta(days=day)).isoformat(),
            "point": digits(point),
            "lo80": digits(low),
            "hi80": digits(high),
            "model": model,
        }
        for day, ((point, _), (low, high)) in enumerate(zip(path, ends, strict=True), start=1)
    ]


def candidate(series: Series, card: dict[str, Any], path: list[tuple[float, Ends]]) -> dict[str, Any]:
    """A model's own forecast, and what is known about its worth, whether it is shown or not."""
    name = model_id(card)
    scores = {
        horizon: {key: values[key] for key in ("n", "rel_mae", "rel_mae_se", "cover80")}
        for horizon, values in card["metrics_valid"].items()
    }
    return {"model": name, "status": "ok", "metrics_valid": scores, "forecast": days(series, name, path)}


if __name__ == "__main__":
    main(run, batching=True)
