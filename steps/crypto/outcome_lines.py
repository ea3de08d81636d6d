"""Write a back-test down: lines for each origin and horizon, and the card beside them.

Read next: outcomes.py (what is in a line), intervals.py (where the interval comes from), backtest.py (who asks).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from steps.crypto.cards import digits
from steps.crypto.formats import write_json, write_json_lines
from steps.crypto.intervals import newest_tails, rolling_tails
from steps.crypto.series import Series
from steps.crypto.walkforward import OutOfSample

# An interval is promised once this many residuals are known.
INTERVAL_AFTER = 30


def write_outcomes(
    folder: Path, card: dict[str, Any], series: Series, rows: OutOfSample, horizons: list[int], first: int
) -> None:
    """Write <folder>/<model>.jsonl and its card, from the origin `first` on; what is before lends its errors."""
    lines = [line for h in horizons for line in outcomes(card["model"], series, rows, h, first)]
    lines.sort(key=lambda line: (line["origin"], line["h"]))
    write_json_lines(folder / f"{card['model']}.jsonl", lines)
    write_json(folder / f"{card['model']}.json", {**card, "tails": newest_ends(rows), "n": len(lines)})


def outcomes(model: str, series: Series, rows: OutOfSample, h: int, first: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of one horizon."""
    ends = rolling_tails(rows.residuals, h, INTERVAL_AFTER)
    point = rows.forecast[:, h - 1]
    low, high = (np.exp(point + ends[:, side] * rows.scale) * rows.price for side in (0, 1))
    yhat, actual = np.exp(point) * rows.price, np.exp(rows.actual[:, h - 1]) * rows.price
    for row in np.flatnonzero(rows.origins >= first):
        origin = series.dates[rows.origins[row]]
        come = not np.isnan(actual[row])
        yield {
            "coin": series.slug,
            "origin": origin,
            "target": (date.fromisoformat(origin) + timedelta(days=h)).isoformat(),
            "h": h,
            "model": model,
            "last": digits(rows.price[row]),
            "yhat": digits(yhat[row]),
            "lo80": None if np.isnan(low[row]) else digits(low[row]),
            "hi80": None if np.isnan(high[row]) else digits(high[row]),
            "actual": digits(actual[row]) if come else None,
            "obs": int(come),
        }


def newest_ends(rows: OutOfSample) -> dict[str, dict[str, Any]]:
    """The interval ends that the newest errors give, in volatilities from the point, by days ahead."""
    counts = np.count_nonzero(~np.isnan(rows.actual), axis=0)
    return {
        str(h): {"n": int(count), "lo": digits(low), "hi": digits(high)}
        for h, count in enumerate(counts, start=1)
        if count
        for low, high in [newest_tails(rows.residuals, h)]
    }
