"""The rows that the store keeps, table by table: what was forecast, what was decided, how good each model was.

Each row carries the commit that made it, so that a row in a database leads back to data and code. The key of a table
says when two rows are the same thing: a forecast of one coin, made at one origin for one day ahead, is made again when
something upstream changes, and then replaces the one before.

Read next: store.py (where they go).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps.crypto.decide import DECISION
from steps.crypto.formats import FORECAST, SCORE, read_json

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table's columns with their types (text, number, whole), its key, and where its rows come from."""

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    rows: Callable[[Path], Iterator[Row]]


def commit_of(input: str) -> str:
    """Return the commit that an input is of, which every Pachyderm tells a step; "" outside of a pipeline."""
    return os.environ.get(f"{input}_COMMIT", "")


def forecasts(inputs: Path) -> Iterator[Row]:
    """A row for each coin and day ahead."""
    for path in sorted((inputs / "predict").glob("*.json")):
        found = read_json(path, FORECAST)
        for step in found["forecast"]:
            names = ("h", "point", "lo80", "hi80", "model")
            yield {
                "slug": found["slug"],
                "origin": found["origin"],
                "target": step["date"],
                "last": found["last"],
                **{name: step[name] for name in names},
                "pach_commit": commit_of("predict"),
                "model_commit": step.get("model_commit") or "",
            }


def decisions(inputs: Path) -> Iterator[Row]:
    """A row for each coin that something was decided on."""
    for path in sorted((inputs / "decide").glob("*.json")):
        found = read_json(path, DECISION)
        if found["status"] == "ok":
            kept = {name: found[name] for name in DECISIONS.columns if name in found}
            yield {**kept, "pach_commit": commit_of("decide")}


def scores(inputs: Path) -> Iterator[Row]:
    """A row for each coin, model and horizon that was judged."""
    for path in sorted((inputs / "score").glob("*.json")):
        found = read_json(path, SCORE)
        for model, judged in sorted(found["models"].items()):
            for horizon, values in sorted(judged.get("horizons", {}).items(), key=lambda each: int(each[0])):
                names = ("n", "rel_mae", "smape", "dir", "dir_majority", "cov80")
                measured = {name: values.get(name) for name in names}
                row = {"slug": found["slug"], "model": model, "h": int(horizon), **measured}
                yield {**row, "pach_commit": commit_of("score")}


FORECASTS = Table(
    "forecasts",
    {
        "slug": "text",
        "origin": "text",
        "h": "whole",
        "target": "text",
        "last": "number",
        "point": "number",
        "lo80": "number",
        "hi80": "number",
        "model": "text",
        "model_commit": "text",
        "pach_commit": "text",
    },
    ("slug", "origin", "h"),
    forecasts,
)
DECISIONS = Table(
    "decisions",
    {
        "slug": "text",
        "origin": "text",
        "horizon": "whole",
        "model": "text",
        "action": "text",
        "reason": "text",
        "target_weight": "number",
        "expected_gross": "number",
        "cost": "number",
        "downside": "number",
        "volume": "number",
        "pach_commit": "text",
    },
    ("slug", "origin"),
    decisions,
)
SCORES = Table(
    "scores",
    {
        "slug": "text",
        "model": "text",
        "h": "whole",
        "n": "whole",
        "rel_mae": "number",
        "smape": "number",
        "dir": "number",
        "dir_majority": "number",
        "cov80": "number",
        "pach_commit": "text",
    },
    ("slug", "model", "h"),
    scores,
)
TABLES = (FORECASTS, DECISIONS, SCORES)
