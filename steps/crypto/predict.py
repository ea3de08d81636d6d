"""Predict stage: read a coin's models and write its forecast for the next ten days.

Nothing is trained and nothing is judged here. Each model gives a path, with 80 % intervals from the errors that its
back-test found (score). Which model is shown follows from the champions on the branch that predict reads: the one
day ahead is that of the one-day champion, the days up to ten are the ten-day champion's, since for a day between
nothing shorter was shown. A champion whose model is not there any more is stood in for by naive, and the forecast
says so. Every model's own forecast stands beside it as a candidate.

Model files are checked against the digests in their cards, so what is named is what was used; each day names its
model and the commit that the model came in.

Read next: models.py (how a model is loaded), intervals.py, verdict.py, ../../pipelines/crypto/predict.json (how
models arrive).
"""

from __future__ import annotations

import math
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pachlet.step import BadInput, main
from steps.crypto.cards import CARD, digits
from steps.crypto.forecast import HORIZON
from steps.crypto.formats import CHAMPION, FORECAST, SCORE, read_json, write_json
from steps.crypto.intervals import nested
from steps.crypto.models import log_moves
from steps.crypto.series import Series, read_series

META = "crypto.series/1"
FALLBACK = "naive.last"
UNJUDGED = {"n": 0, "rel_mae": None, "cov80": None}

# A model's (point, low, high) in prices for each day ahead.
Path3 = list[tuple[float, float, float]]


def run(inputs: Path, out: Path) -> None:
    """Write /<slug>.json for each coin under `inputs` (one in a datum)."""
    coins = sorted(path for path in (inputs / "standardise").glob("*") if path.is_dir())
    if not coins:
        raise BadInput("predict got models but no series: is their coin gone from standardise?")
    for coin in coins:
        slug = coin.name
        own = sorted(path.parent for path in inputs.glob(f"train-*/{slug}/*/card.json"))
        shared = sorted(path.parent for path in inputs.glob("train-global/global.*/card.json"))
        name = read_json(coin / "meta.json", META)["name"]
        score = optional(inputs / "score" / f"{slug}.json", SCORE)
        champion = optional(inputs / "champions" / "champions" / f"{slug}.json", CHAMPION)
        forecast = forecast_coin(read_series(coin), name, own + shared, score, champion)
        write_json(out / f"{slug}.json", forecast)


def optional(path: Path, schema: str) -> dict[str, Any]:
    """Read a file that need not be there; empty if it is not."""
    return read_json(path, schema) if path.is_file() else {}


def forecast_coin(
    series: Series, name: str, folders: list[Path], score: dict[str, Any], champion: dict[str, Any]
) -> dict[str, Any]:
    """Make the forecast of one coin from the model folders that there are."""
    judged = score.get("models", {})
    cards = {
        model_id(card): (card, folder)
        for folder in folders
        for card in [read_json(folder / "card.json", CARD)]
    }
    usable = {id: each for id, each in cards.items() if each[0]["status"] == "ok" and has_tails(judged, id)}
    head = {
        "schema": FORECAST,
        "slug": series.slug,
        "name": name,
        "origin": series.dates[-1],
        "last": digits(series.last_price),
        "champions_commit": commit_of("champions"),
    }
    skipped = [
        {"model": id, "status": "skipped", "reason": why_not(card, judged.get(id, {}))}
        for id, (card, _) in cards.items()
        if id not in usable
    ]
    if FALLBACK not in usable:
        empty: dict[str, Any] = {"forecast": [], "candidates": skipped, "models": []}
        return {**head, **empty, "status": "skipped", "reason": "no_naive_model"}
    paths = {id: price_path(series, card, folder, judged[id]) for id, (card, folder) in usable.items()}
    shown = [shown_model(champion, day, paths) for day in range(1, HORIZON + 1)]
    missing = sorted({each["champion"] for each in champion.get("h", {}).values()} - set(paths))
    return {
        **head,
        "status": "ok",
        **({"notice": f"{', '.join(missing)} is champion but has no model for this coin"} if missing else {}),
        "forecast": days(series, shown, paths, {id: commit_of(f.parts) for id, (_, f) in usable.items()}),
        "candidates": [candidate(series, id, paths, judged[id]) for id in usable] + skipped,
        "models": [
            {"id": id, "sha256": card["model"]["sha256"], "train_end": card["train_end"]}
            for id, (card, _) in usable.items()
        ],
    }


def why_not(card: dict[str, Any], judged: dict[str, Any]) -> str:
    """Why a model that is there makes no forecast: it was not trained, or its errors are not known."""
    return str(card.get("reason") or judged.get("reason", "not_judged"))


def model_id(card: dict[str, Any]) -> str:
    return f"{card['family']}.{card['pid']}"


def has_tails(judged: dict[str, Any], id: str) -> bool:
    """Say whether a back-test measured a model's errors on every day ahead."""
    return len(judged.get(id, {}).get("tails", {})) == HORIZON


def commit_of(place: str | tuple[str, ...]) -> str | None:
    """The commit that an input came in: Pachyderm tells it by the input's name. None outside of a pipeline."""
    names = (place,) if isinstance(place, str) else place
    return next((os.environ[f"{name}_COMMIT"] for name in names if f"{name}_COMMIT" in os.environ), None)


def shown_model(champion: dict[str, Any], day: int, paths: dict[str, Path3]) -> str:
    """The champion of the nearest judged horizon that is not before `day`."""
    horizons = sorted((int(h) for h in champion.get("h", {})), reverse=False)
    horizon = next((h for h in horizons if h >= day), None)
    model = FALLBACK if horizon is None else champion["h"][str(horizon)]["champion"]
    return model if model in paths else FALLBACK


def price_path(series: Series, card: dict[str, Any], folder: Path, judged: dict[str, Any]) -> Path3:
    """One model's path in prices from the newest day, with its own interval at each day."""
    scale = series.vol[-1]
    path = []
    for day, move in enumerate(log_moves(series, card, folder), start=1):
        tail = judged["tails"][str(day)]
        point, low, high = (
            math.exp(series.log_close[-1] + value)
            for value in (move, move + tail["lo"] * scale, move + tail["hi"] * scale)
        )
        path.append((point, low, high))
    return path


def days(
    series: Series, shown: list[str], paths: dict[str, Path3], commits: dict[str, str | None] | None = None
) -> list[dict[str, Any]]:
    """Put dates to a path and nest its intervals: day h is h calendar days after the last known one."""
    origin = date.fromisoformat(series.dates[-1])
    steps = [paths[model][day] for day, model in enumerate(shown)]
    ends = nested((low, high) for _, low, high in steps)
    return [
        {
            "h": day,
            "date": (origin + timedelta(days=day)).isoformat(),
            "point": digits(point),
            "lo80": digits(low),
            "hi80": digits(high),
            "model": model,
            **({} if commits is None else {"model_commit": commits[model]}),
        }
        for day, (model, (point, _, _), (low, high)) in enumerate(
            zip(shown, steps, ends, strict=True), start=1
        )
    ]


def candidate(series: Series, id: str, paths: dict[str, Path3], judged: dict[str, Any]) -> dict[str, Any]:
    """A model's own forecast, and what is known about its worth, whether it is shown or not."""
    scores = {
        horizon: {key: values.get(key, UNJUDGED[key]) for key in UNJUDGED}
        for horizon, values in judged["horizons"].items()
    }
    return {"model": id, "status": "ok", "scores": scores, "forecast": days(series, [id] * HORIZON, paths)}


if __name__ == "__main__":
    main(run, batching=True)
