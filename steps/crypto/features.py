"""What a model is shown at an origin, and what it is asked for.

A frame is the last `lags` log-returns up to and including the origin's, oldest first, each divided by the
volatility known at the origin; the target is the next day's log-return divided by that same volatility. One
scale per frame, taken from the newest day: nothing is measured against a price of fifty days back, nothing is
in dollars (an epsilon of 0.05 means the same for Bitcoin and for Dogecoin), and the newest frame ends on the
last known price.

Read next: feature_groups.py (what may stand beside a frame), forecast.py (how a one-step model becomes a path).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from steps.crypto.series import Array, Series

# Returns beyond this many volatilities say "something happened", not how much: glitches of x288 are in the
# data.
LIMIT = 5.0

Indexes = npt.NDArray[np.int64]


def origins(series: Series, lags: int) -> Indexes:
    """List the days at whose close a frame can be made, filled days included."""
    first = lags  # day 0 has no return, so days 1..lags are the first full frame
    days = np.arange(first, len(series), dtype=np.int64)
    return days[~np.isnan(series.vol[days])]


def frames(series: Series, lags: int, at: Indexes) -> Array:
    """Make the frame of each origin: one row per origin, the newest return last."""
    if not len(at):
        return np.empty((0, lags))
    windows = sliding_window_view(series.ret, lags)[at - lags + 1]
    return np.clip(windows / series.vol[at, None], -LIMIT, LIMIT)
