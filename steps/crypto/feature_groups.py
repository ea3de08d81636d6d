"""What a model is shown at an origin: groups of features, chosen by name in its parameter file.

    lags        the last `lags` returns (features.py); the recursion moves them on, day after day
    volatility  how wild the day, the week and all days so far were against the volatility known at the origin: the
                terms of different length of HAR (Corsi, A simple approximate long-memory model, 2009)
    volume      dollars traded against the last 30 days' geometric mean, the day's own among them, in logs, and that
                times the day's return: a return on great volume is followed by another than one on little (Campbell,
                Grossman & Wang 1993)
    market      the mean return of all coins, each in its own volatilities, of the day and of the week
    calendar    the weekday of the day that is forecast, as sine and cosine

All of it is known at the close of the origin; days after that change none of it. All is in volatilities, logs of ratios
or an angle, so it means the same for any coin. On the way to the tenth day the returns are those that the model said,
the calendar is that of the day that is asked for, and the rest stays as it was at the origin.

Read next: features.py (lags and target), panel.py and walkforward.py (who show it), forecast.py (the recursion).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from pachlet.step import BadInput
from steps.crypto.features import LIMIT, Indexes, frames, origins
from steps.crypto.series import Array, Series

WEEK, MONTH = 7, 30
SMALLEST = 1e-2  # of a ratio whose log is taken: a frozen quote has no volatility

# What a parameter file without "features" asks for.
PLAIN = ("lags",)
GROUPS = ("lags", "volatility", "volume", "market", "calendar")
# A coin's own models see no other coin.
OWN_GROUPS = ("lags", "volatility", "volume", "calendar")


@dataclass(frozen=True)
class Shown:
    """What a model is shown at some origins, a row each."""

    # (rows, lags), the newest last; no columns where the group is left out.
    lags: Array
    # (rows, columns): known at the origin, and held there.
    held: Array
    # (rows,): the origin's day, as date.toordinal counts.
    day: Indexes
    calendar: bool

    def __getitem__(self, rows: Any) -> Shown:
        return Shown(self.lags[rows], self.held[rows], self.day[rows], self.calendar)

    def beside(self, ahead: int = 0) -> Array:
        """Return what stands beside the lags, `ahead` days after the origin: (rows, columns), maybe none."""
        return np.column_stack([self.held, weekday(self.day + ahead + 1)]) if self.calendar else self.held

    def columns(self) -> Array:
        """Return all that is shown at the origins: (rows, columns)."""
        beside = self.beside()
        return np.column_stack([self.lags, beside]) if beside.shape[1] else self.lags


@dataclass(frozen=True)
class Market:
    """The mean scaled return of all coins: of a day, and over the week that it ends."""

    days: Mapping[int, tuple[float, float]]

    def at(self, day: Indexes) -> Array:
        """Return (days, 2)."""
        try:
            return np.array([self.days[each] for each in day.tolist()]).reshape(-1, 2)
        except KeyError as error:
            known = f"the model knows the market of {len(self.days)} days"
            raise BadInput(f"{known}, and {date.fromordinal(error.args[0])} is none of them") from error


def stacked(parts: Sequence[Shown]) -> Shown:
    """Put what is shown of coin after coin on top of one another."""
    arrays = (np.concatenate([getattr(each, name) for each in parts]) for name in ("lags", "held", "day"))
    return Shown(*arrays, parts[0].calendar)


def read_groups(params: Mapping[str, Any], name: str, possible: Sequence[str] = GROUPS) -> None:
    """Check which groups a parameter file asks for, if it asks for any."""
    if "features" not in params:
        return
    asked = params["features"]
    unknown = [each for each in asked if each not in GROUPS]
    if unknown:
        raise BadInput(f"{name}: there is no feature group {unknown[0]!r}; known: {', '.join(GROUPS)}")
    unseen = [each for each in asked if each not in possible]
    if unseen:
        raise BadInput(f"{name}: this model can't be shown {unseen[0]!r}, only {', '.join(possible)}")
    if not asked or len(set(asked)) < len(asked):
        raise BadInput(f"{name}: 'features' must name at least one group, and none twice")


def groups_of(params: Mapping[str, Any]) -> Sequence[str]:
    """Return the groups that a parameter file asks for."""
    return tuple(params.get("features", PLAIN))


def show(
    series: Series, lags: int, at: Indexes, groups: Sequence[str] = PLAIN, market: Market | None = None
) -> Shown:
    """Make what a model is shown at origins `at` (row numbers of a series, each with `lags` returns behind it)."""
    day = date.fromisoformat(series.dates[0]).toordinal() + at
    held = [BY_COIN[group](series)[at] for group in BY_COIN if group in groups]
    if "market" in groups:
        assert market is not None
        held.append(market.at(day))
    return Shown(
        frames(series, lags, at) if "lags" in groups else np.empty((len(at), 0)),
        np.column_stack(held) if held else np.empty((len(at), 0)),
        day,
        "calendar" in groups,
    )


def training_rows(
    series: Series,
    lags: int,
    end: int,
    groups: Sequence[str] = PLAIN,
    chosen: npt.NDArray[np.bool_] | None = None,
) -> tuple[Array, Array]:
    """Make the rows and targets that are known at the close of day `end`: no target lies after it.

    A filled day is neither origin nor target: nobody would have forecast from it, and its return is invented. Of days
    that are `chosen` (rows.py) only those are learnt from.
    """
    at = origins(series, lags)
    at = at[at < end]
    at = at[series.observed[at] & series.observed[at + 1]]
    at = at if chosen is None else at[chosen[at]]
    targets = np.clip(series.ret[at + 1] / series.vol[at], -LIMIT, LIMIT)
    return show(series, lags, at, groups).columns(), targets


def volatility(series: Series) -> Array:
    """Of each day: |return|, and the logs of the week's volatility and of that of all days so far; (days, 3).

    Each against the volatility known that day.
    """
    square = np.nan_to_num(series.ret) ** 2
    count = np.arange(len(series))  # day 0 has no return
    week = trailing(square, WEEK, 0.0).sum(axis=1) / np.clip(count, 1, WEEK)
    ever = np.cumsum(square) / np.maximum(count, 1)
    logs = [np.log(np.maximum(np.sqrt(each) / series.vol, SMALLEST)) for each in (week, ever)]
    return np.clip(np.column_stack([np.sqrt(square) / series.vol, *logs]), -LIMIT, LIMIT)


def volume(series: Series) -> Array:
    """Of each day: the log of its dollars less the mean of the month's logs, and that times the return; (days, 2).

    The month ends with the day itself. 0, as usual, where the source says nothing. Of 1 + dollars, so that a day
    without trade has a log: where a coin trades for a few dollars a day, it depends on what they are counted in.
    """
    logs = np.log1p(series.volume)
    known = ~np.isnan(logs)
    counts = trailing(known.astype(float), MONTH, 0.0).sum(axis=1)
    usual = trailing(np.where(known, logs, 0.0), MONTH, 0.0).sum(axis=1) / np.maximum(counts, 1)
    unusual = np.where(known, np.nan_to_num(logs) - usual, 0.0)
    moved = np.nan_to_num(series.ret) / series.vol
    return np.clip(np.column_stack([unusual, unusual * moved]), -LIMIT, LIMIT)


BY_COIN: Mapping[str, Callable[[Series], Array]] = {"volatility": volatility, "volume": volume}


def weekday(day: Indexes) -> Array:
    """Place a day on the circle of the week: sine and cosine; (days, 2)."""
    angle = 2 * np.pi * (day % WEEK) / WEEK
    return np.column_stack([np.sin(angle), np.cos(angle)])


def market_of(coins: Sequence[Series]) -> Market:
    """Average all coins' observed returns, each over the volatility known the day before; 0 where there are none."""
    firsts = [date.fromisoformat(each.dates[0]).toordinal() for each in coins]
    start = min(firsts)
    count = max(first + len(each) for first, each in zip(firsts, coins, strict=True)) - start
    total, n = np.zeros(count), np.zeros(count)
    for first, coin in zip(firsts, coins, strict=True):
        moved = coin.ret[1:] / coin.vol[:-1]
        seen = np.flatnonzero(coin.observed[1:] & ~np.isnan(moved))
        place = first - start + 1 + seen
        total[place] += np.clip(moved[seen], -LIMIT, LIMIT)
        n[place] += 1
    mean = total / np.maximum(n, 1)
    week = trailing(mean, WEEK, 0.0).mean(axis=1)
    return Market({start + k: (float(mean[k]), float(week[k])) for k in range(count)})


def newest(market: Market | None, coins: Sequence[Series]) -> dict[str, tuple[float, float]]:
    """Return what a stored model must know of the market to forecast these coins: that of their last days."""
    assert market is not None
    days = {coin.dates[-1] for coin in coins}
    return {day: market.days[date.fromisoformat(day).toordinal()] for day in sorted(days)}


def market_in(card: Mapping[str, Any]) -> Market | None:
    """Return the market that a model's card knows, if it knows any."""
    if "market" not in card:
        return None
    return Market({date.fromisoformat(day).toordinal(): tuple(pair) for day, pair in card["market"].items()})


def trailing(values: Array, days: int, before: float) -> Array:
    """Return the last `days` values up to each day, with `before` standing for what was before the first."""
    return sliding_window_view(np.concatenate([np.full(days - 1, before), values]), days)
