"""Make each usable coin a daily series of log prices, returns and known volatility: what every model reads.

Only the last unbroken segment is used. A missing day inside it is filled with the price before it and marked
obs=0, so that it can be stepped over but never scored. The volatility of a day uses nothing later than that
day's close, which is what lets a model divide by it without looking ahead; it is the unit in which models
speak, because a percent is nothing for one coin and a landslide for another.

Read next: split.py (which days may be trained on), formats.py (how files are written).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pachlet.step import main
from steps.crypto.formats import number_text, read_json, write_csv, write_json

VOLATILITY_SPAN = 30  # days; the weight of a day is 2/31 of what is left
MIN_RETURNS = 10  # before so many returns are seen, a volatility would be a guess: vol30 is empty
MIN_VOLATILITY = 1e-4  # a price that never moves (a peg) must not divide by zero
MIN_SHARE = 0.1  # of the coin's own long-run volatility: a frozen quote is not a calm market

COLUMNS = ("date", "log_close", "ret", "vol30", "obs", "volume")


def run(inputs: Path, out: Path) -> None:
    """Standardise the coins of one datum: one."""
    for entry in sorted((inputs / "audit" / "universe").glob("*.json")):
        coin = read_json(entry, "crypto.universe/1")
        slug = str(coin["slug"])
        prices = pd.read_csv(
            inputs / "ingest" / "coins" / f"{slug}.csv", parse_dates=["date"], index_col="date"
        )
        segment = prices.loc[str(coin["segment_start"]) :]
        series = standardise(segment["close"], segment["volume"])
        write_csv(out / slug / "series.csv", COLUMNS, (cells(day) for day in series.itertuples()))
        write_json(out / slug / "meta.json", describe(coin, segment["close"], series))


def standardise(close: pd.Series, volume: pd.Series | None = None) -> pd.DataFrame:
    """Turn closes and the dollars traded, indexed by day, into COLUMNS for every day between.

    The volume is as known: NaN where the source says nothing, and on filled days.
    """
    daily = close.asfreq("D")
    observed = daily.notna()
    log_close = np.log(daily.ffill())
    ret = log_close.diff()
    return pd.DataFrame(
        {
            "log_close": log_close,
            "ret": ret,
            "vol30": known_volatility(ret, observed),
            "obs": observed.astype(int),
            "volume": np.nan if volume is None else volume.asfreq("D"),
        }
    )


def known_volatility(ret: pd.Series, observed: pd.Series) -> pd.Series:
    """Estimate a day's volatility from the returns up to its close: the root of their weighted mean square.

    A filled day teaches nothing, so it keeps the estimate of the day before; the return after k filled days
    spans k+1 days and counts as their average.
    """
    position = pd.Series(np.arange(len(ret)), index=ret.index)
    days = position - position.where(observed).ffill().shift(1)
    square = (ret**2 / days).where(observed)
    recent = square.ewm(span=VOLATILITY_SPAN, ignore_na=True, min_periods=MIN_RETURNS).mean()
    long_run = square.expanding(min_periods=MIN_RETURNS).mean()
    floor = np.maximum(MIN_SHARE**2 * long_run, MIN_VOLATILITY**2)
    return np.sqrt(np.maximum(recent, floor)).ffill()


def describe(coin: dict[str, object], close: pd.Series, series: pd.DataFrame) -> dict[str, object]:
    """Write down what a reader needs to know of a series without reading it."""
    return {
        "schema": "crypto.series/1",
        "slug": coin["slug"],
        "name": coin["name"],
        "file": coin["file"],
        "rows": len(series),
        "observed": int(series["obs"].sum()),
        "filled": int((1 - series["obs"]).sum()),
        "first": series.index[0].date().isoformat(),
        "last": series.index[-1].date().isoformat(),
        "last_close": float(close.iloc[-1]),
        "last_vol30": float(series["vol30"].iloc[-1]),
    }


def cells(day: tuple[pd.Timestamp, float, float, float, int, float]) -> list[str]:
    """Write one day of `standardise` as cells of series.csv."""
    date, log_close, ret, vol, obs, volume = day
    numbers = [number_text(None if np.isnan(n) else n) for n in (log_close, ret, vol)]
    return [date.date().isoformat(), *numbers, str(obs), "" if np.isnan(volume) else number_text(volume)]


if __name__ == "__main__":
    main(run, batching=True)
