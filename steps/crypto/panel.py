"""All coins' frames on top of one another: what a model learns from that is one and the same for all coins.

A row is a coin on a day: its last returns in its own volatilities, what its parameter file asks for beside that
(feature_groups.py), and what came the day after: its return, or, with `"label": "excess"`, that less the mean of all
coins. A forecast adds no market to an excess return, and is scored against the whole return: it takes the market to
stand still. A coin's price or age can't be told from it, and what is learnt on one coin means the same on another.

Which rows a model learns from may be said in SQL (rows.py). It chooses rows to learn from; which days are forecast does
not depend on it.

Read next: feature_groups.py (a row), rows.py (the conditions), backtest_global.py and train_global.py (who learn).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steps.crypto.feature_groups import Market, Shown, groups_of, market_of, show, stacked
from steps.crypto.features import LIMIT, Indexes, origins
from steps.crypto.rows import Mask, chosen_rows
from steps.crypto.series import Array, Series

LABELS = ("return", "excess")


@dataclass(frozen=True)
class Panel:
    """Rows of all coins, one coin after the other, oldest first: observed days with a full frame."""

    series: tuple[Series, ...]
    # Of each row: which coin, which of its days, and that day as date.toordinal counts.
    coin: Indexes
    at: Indexes
    day: Indexes
    shown: Shown
    # The next day's scaled return (or excess return), NaN where it is not known.
    targets: Array
    scale: Array
    # Of the days of these coins, where what is shown or asked for depends on it.
    market: Market | None = None

    def known(self, end: int) -> Mask:
        """Say which rows may be learnt from on day `end`: those whose target had come by its close."""
        result: Mask = (self.day + 1 <= end) & ~np.isnan(self.targets)
        return result


def make_panel(series: Sequence[Series], params: Mapping[str, Any]) -> Panel:
    """Stack what a parameter file shows of the coins; a coin without a full frame adds nothing."""
    lags, groups, excess = params["lags"], groups_of(params), params.get("label") == "excess"
    market = market_of(series) if excess or "market" in groups else None
    shown: list[Shown] = []
    columns: list[tuple[Indexes, Indexes, Array, Array]] = []
    for number, coin in enumerate(series):
        at = origins(coin, lags)
        at = at[coin.observed[at]]
        shown.append(show(coin, lags, at, groups, market))
        targets = np.full(len(at), np.nan)
        come = np.flatnonzero(at + 1 < len(coin))
        come = come[coin.observed[at[come] + 1]]
        targets[come] = coin.ret[at[come] + 1] / coin.vol[at[come]]
        if excess:
            assert market is not None
            targets[come] -= market.at(shown[-1].day[come] + 1)[:, 0]
        columns.append((np.full(len(at), number), at, np.clip(targets, -LIMIT, LIMIT), coin.vol[at]))
    coins, rows, targets, scale = (np.concatenate(each) for each in zip(*columns, strict=True))
    every = stacked(shown)
    return Panel(tuple(series), coins, rows, every.day, every, targets, scale, market)


def rows_where(panel: Panel, condition: str) -> Mask:
    """Say for which rows a condition in SQL holds; the empty one holds for all."""
    return chosen_rows(panel.series, panel.coin, panel.at, condition)
