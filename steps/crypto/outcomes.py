"""The file of a back-test: what a model would have said of a coin on days that it had not seen, and what came.

One line for each origin and horizon, oldest first, in prices:

    {coin, origin, target, h, model, last, yhat, lo80, hi80, actual, obs}

`last` is the close at the origin, `yhat` the forecast for `target`, h days later, between `lo80` and `hi80` (null
where too few errors were known on that day to promise anything). `actual` is null and `obs` 0 where the target has
not come or was not quoted. Beside the lines lies a card: parameters, whether there was enough history, and the
interval ends in volatilities that the newest errors give for each of the next ten days.

Read next: outcome_lines.py (how they are written), score.py (who reads them).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput
from steps.crypto.formats import read_json
from steps.crypto.series import Array

BACKTEST = "crypto.backtest/1"


@dataclass(frozen=True)
class Outcomes:
    """A back-test's lines of one horizon with a known outcome, as arrays in the order of the origins."""

    # Days since 1-1-1, as date.toordinal counts.
    origin: Array
    last: Array
    yhat: Array
    # NaN where no interval was promised.
    lo80: Array
    hi80: Array
    actual: Array


def read_outcomes(path: Path) -> dict[int, Outcomes]:
    """Read the known outcomes of a back-test by horizon."""
    columns: dict[int, list[tuple[float, ...]]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            values = columns.setdefault(int(row["h"]), [])
            if row["obs"]:
                numbers = (row["last"], row["yhat"], row["lo80"], row["hi80"], row["actual"])
                day = date.fromisoformat(row["origin"]).toordinal()
                values.append((day, *(np.nan if n is None else float(n) for n in numbers)))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path.parent.name}/{path.name} is not a back-test's file: {error!r}") from error
    return {h: Outcomes(*np.array(rows, dtype=float).reshape(-1, 6).T) for h, rows in columns.items()}


def read_card(path: Path) -> dict[str, Any]:
    """Read the card beside a back-test's lines."""
    return read_json(path, BACKTEST)
