"""A coin's days and the lines of back-tests, read with the standard library alone, for the stages after the models.

Read next: ledger.py, monitor.py, nightly.py (who read them).
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pachlet.step import BadInput
from steps.crypto.formats import CHAMPION, read_json

FALLBACK = "naive.last"


@dataclass(frozen=True)
class Day:
    """One day of a coin; None is what is not known."""

    day: str
    log_close: float
    ret: float | None
    vol: float | None
    observed: bool
    volume: float | None


@dataclass(frozen=True)
class Line:
    """What a model said of one coin at an origin, in prices; `actual` is None until it is known."""

    origin: str
    target: str
    last: float
    point: float
    low: float | None
    high: float | None
    actual: float | None


def read_days(folder: Path) -> list[Day]:
    """Read <folder>/series.csv, oldest day first."""
    try:
        with (folder / "series.csv").open(encoding="utf-8", newline="") as file:
            return [
                Day(
                    row["date"],
                    float(row["log_close"]),
                    number(row["ret"]),
                    number(row["vol30"]),
                    row["obs"] == "1",
                    number(row.get("volume", "")),
                )
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise BadInput(f"{folder.name}/series.csv can't be read: {error}") from error


def number(cell: str) -> float | None:
    return float(cell) if cell else None


def read_lines(backtest: Path, slug: str, model: str, horizon: int) -> list[Line]:
    """Read a back-test's lines of one horizon, oldest origin first; none if there is no such back-test.

    Those of the models for all coins lie in an input beside it.
    """
    places = (backtest, backtest.with_name("backtest-global"))
    path = next((p for place in places if (p := place / slug / f"{model}.jsonl").is_file()), None)
    if path is None:
        return []
    try:
        rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        found = [
            Line(r["origin"], r["target"], r["last"], r["yhat"], r["lo80"], r["hi80"], r["actual"])
            for r in rows
            if r["h"] == horizon
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path.parent.parent.name}/{slug}/{path.name} is no back-test: {error!r}") from error
    return sorted(found, key=lambda line: line.origin)


def read_champions(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the verdict on each coin, by slug, then by horizon as text."""
    found = (read_json(path, CHAMPION) for path in sorted((folder / "champions").glob("*.json")))
    return {str(each["slug"]): dict(each["h"]) for each in found}


def mean_volume(days: Sequence[Day], at: int, window: int) -> float | None:
    """Return the mean dollars a day over the `window` days up to row `at`; None where none of them is known."""
    known = [day.volume for day in days[max(0, at - window + 1) : at + 1] if day.volume is not None]
    return math.fsum(known) / len(known) if known else None


def known_until(lines: Sequence[Line], day: str) -> Iterator[Line]:
    """Yield the lines whose target had come by a day, newest first."""
    return (line for line in reversed(lines) if line.actual is not None and line.target <= day)


def rounded(value: float | None) -> float | None:
    """Ten significant digits: what a number means, without floating-point noise."""
    return None if value is None else float(f"{value:.10g}")
