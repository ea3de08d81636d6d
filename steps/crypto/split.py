"""Fix, for each coin, when models are refitted and which days their forecasts are tried on.

Walking forward is the only honest test of a forecast: fit on what was known on a day, forecast what
follows, move on. Refit days lie on one calendar grid for all coins, `refit_days` apart, so a new day of prices
appends to the folds instead of moving them. When it brings a new grid day into the window of tested days, the
origins of the oldest refit may leave it; every origin that is still tested keeps its forecast.

Each refit has its number on that grid, `grid`, so that who refits more seldom, on every n-th number, does it on
the same days whatever day it is: on the grid day that the number tells, even when it lies before the window, but
never before `first_refit`, the day that the coin had enough to train on.

Of a refit, `train_end` is the last day whose close may be used in any way: a target h days after its origin
may be trained on only if origin + h <= train_end. Forecasts are made at the close of each origin from
`test_start` (= train_end) to `test_end`, both included.

Read next: standardise.py (the series that is split).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from pachlet.step import BadInput, main
from steps.crypto.formats import FOLDS, write_json

HORIZONS = (1, 10)
# Days that are tried, days between refits, and rows before the first: 40 leave 20 origins to the shortest usable coin.
PLAN = {"test_days": 365, "refit_days": 30, "min_train": 40}
PLANNED = "crypto.plan/1"


def run(inputs: Path, out: Path) -> None:
    """Split the coins of one datum: one."""
    for series in sorted((inputs / "standardise").glob("*/series.csv")):
        slug = series.parent.name
        days = days_of(series)
        if len(days) <= PLAN["min_train"]:
            raise BadInput(f"{slug} has {len(days)} days, too few to train on {PLAN['min_train']} and test")
        write_json(out / slug / "folds.json", {"schema": FOLDS, "slug": slug} | folds(days))


def days_of(series: Path) -> list[date]:
    """Return the days of a series.csv."""
    with series.open(encoding="utf-8", newline="") as file:
        return [date.fromisoformat(row["date"]) for row in csv.DictReader(file)]


def folds(days: Sequence[date], plan: Mapping[str, int] = PLAN) -> dict[str, object]:
    """Lay the refits out over a run of consecutive days."""
    starts = refit_days(days, plan)
    ends = [following - timedelta(days=1) for following in starts[1:]] + [days[-1]]
    refits = [
        {
            "date": start.isoformat(),
            "grid": start.toordinal() // plan["refit_days"],
            "train_end": start.isoformat(),
            "test_start": start.isoformat(),
            "test_end": end.isoformat(),
        }
        for start, end in zip(starts, ends, strict=True)
    ]
    return {
        "rows": len(days),
        "min_train": plan["min_train"],
        "horizons": list(HORIZONS),
        "refit_days": plan["refit_days"],
        "first_refit": days[plan["min_train"] - 1].isoformat(),
        "refits": refits,
    }


def refit_days(days: Sequence[date], plan: Mapping[str, int] = PLAN) -> list[date]:
    """Pick the grid days of the last year; a younger coin starts as soon as it has enough to train on."""
    earliest = days[plan["min_train"] - 1]
    year_ago = days[-1] - timedelta(days=plan["test_days"])
    on_grid = [
        day
        for day in days
        if day.toordinal() % plan["refit_days"] == 0 and earliest <= day and year_ago <= day
    ]
    return on_grid if earliest < year_ago and on_grid else sorted({earliest, *on_grid})


if __name__ == "__main__":
    main(run)
