"""One coin's standardised series, read for the models.

Every model sees the same thing: the days of the coin's last segment with their log price, their log-return,
the volatility known at that day's close, and whether the day was observed or filled. Reading it in one place
keeps "last price", "known at" and "scored" one decision each instead of one per model.

Read next: features.py (what a model is shown of it), training.py (who reads it).
"""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pachlet.step import BadInput

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """The days of one segment, ascending; all arrays have one entry per day."""

    slug: str
    dates: tuple[str, ...]
    log_close: Array
    # Log-return into this day; NaN on the segment's first day.
    ret: Array
    # Daily volatility known at this day's close, above 0; NaN while there is too little history.
    vol: Array
    # False for a day that was filled forward: it is never scored and never a training target.
    observed: npt.NDArray[np.bool_]
    # Dollars traded on this day; NaN where the source does not say.
    volume: Array
    # Of the file's bytes, so that a card says which data made it.
    sha256: str

    def __len__(self) -> int:
        return len(self.dates)

    @property
    def last_price(self) -> float:
        return math.exp(self.log_close[-1])


def read_series(folder: Path) -> Series:
    """Read <folder>/series.csv; a segment starts where the return is missing, the last one counts."""
    path = folder / "series.csv"
    data = path.read_bytes()
    rows = list(csv.DictReader(data.decode("utf-8").splitlines()))
    if not rows:
        raise BadInput(f"{folder.name}/series.csv has no rows")
    starts = [number for number, row in enumerate(rows) if row.get("ret") == ""]
    rows = rows[starts[-1] :] if starts else rows
    try:
        series = Series(
            slug=folder.name,
            dates=tuple(row["date"] for row in rows),
            log_close=_column(rows, "log_close"),
            ret=_column(rows, "ret"),
            vol=_column(rows, "vol30"),
            observed=_column(rows, "obs") > 0,
            volume=_column(rows, "volume"),
            sha256=hashlib.sha256(data).hexdigest(),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{folder.name}/series.csv is not date,log_close,ret,vol30,obs,volume with numbers: {error}"
        ) from error
    if (series.vol <= 0).any():
        raise BadInput(f"{folder.name}/series.csv has a volatility that is not above 0")
    return series


def _column(rows: list[dict[str, str]], name: str) -> Array:
    return np.array([float(row[name]) if row[name] else math.nan for row in rows], dtype=np.float64)
