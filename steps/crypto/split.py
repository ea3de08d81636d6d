"""Fix, for each coin, when models are refitted and which days their forecasts are tried on.

Walking forward is the only honest test of a forecast: fit on what was known on a day, forecast what
follows, move on. Refit days lie on one calendar grid for all coins, so a new day of prices appends to the
folds instead of moving them, and forecasts made for earlier days stay as they were.

Of a refit, `train_end` is the last day whose close may be used in any way: a target h days after its origin
may be trained on only if origin + h <= train_end. Forecasts are made at the close of each origin from
`test_start` (= train_end) to `test_end`, both included. `holdout_start` begins the last third of the refits,
for judging choices that were made on the ones before.

Read next: standardise.py (the series that is split).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from pachlet.step import BadInput, main
from steps.crypto.formats import write_json

HORIZONS = (1, 10)
MIN_TRAIN = 40  # rows; leaves 20 origins to the shortest usable coin
TEST_DAYS = 365
REFIT_DAYS = 30


def run(inputs: Path, out: Path) -> None:
    """Split the coins of one datum: one."""
    for series in sorted((inputs / "standardise").glob("*/series.csv")):
        slug = series.parent.name
        with series.open(encoding="utf-8", newline="") as file:
            days = [date.fromisoformat(row["date"]) for row in csv.DictReader(file)]
        if len(days) <= MIN_TRAIN:
            raise BadInput(f"{slug} has {len(days)} days, too few to train on {MIN_TRAIN} and test")
        write_json(out / slug / "folds.json", {"schema": "crypto.folds/1", "slug": slug} | folds(days))


def folds(days: Sequence[date]) -> dict[str, object]:
    """Lay the refits out over a run of consecutive days."""
    starts = refit_days(days)
    ends = [following - timedelta(days=1) for following in starts[1:]] + [days[-1]]
    refits = [
        {
            "date": start.isoformat(),
            "train_end": start.isoformat(),
            "test_start": start.isoformat(),
            "test_end": end.isoformat(),
        }
        for start, end in zip(starts, ends, strict=True)
    ]
    return {
        "rows": len(days),
        "min_train": MIN_TRAIN,
        "horizons": list(HORIZONS),
        "refits": refits,
        "holdout_start": refits[-max(1, len(refits) // 3)]["test_start"],
    }


def refit_days(days: Sequence[date]) -> list[date]:
    """Pick the grid days of the last year; a younger coin starts as soon as it has enough to train on."""
    earliest = days[MIN_TRAIN - 1]
    year_ago = days[-1] - timedelta(days=TEST_DAYS)
    on_grid = [
        day
        for day in days
        if day.toordinal() % REFIT_DAYS == 0 and earliest <= day and year_ago <= day < days[-1]
    ]
    return on_grid if earliest < year_ago and on_grid else sorted({earliest, *on_grid})


if __name__ == "__main__":
    main(run)
