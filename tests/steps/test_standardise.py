"""The series that models read: nothing is known before its day, and a filled day never passes for a real one.

Read next: ../../steps/crypto/standardise.py.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.crypto import standardise as step
from steps.crypto.standardise import MIN_RETURNS, MIN_VOLATILITY, standardise

CLOSES = st.lists(st.floats(1e-9, 1e6), min_size=2, max_size=60)


def closes(values: list[float], absent: frozenset[int] = frozenset()) -> pd.Series:
    series = pd.Series(values, index=pd.date_range("2017-01-01", periods=len(values), freq="D"))
    return series[[i not in absent for i in range(len(values))]]


def wave(days: int = 50) -> list[float]:
    return [100 * math.exp(math.sin(i) / 10) for i in range(days)]


def test_returns_are_log_differences_and_the_first_is_unknown() -> None:
    series = standardise(closes([1.0, math.e, math.e]))
    assert series["ret"].isna().tolist() == [True, False, False]
    assert series["ret"].tolist()[1:] == [1.0, 0.0]
    assert series["log_close"].tolist() == [0.0, 1.0, 1.0]


def test_missing_day_is_filled_forward_and_marked() -> None:
    series = standardise(closes([1.0, 2.0, 9.0, 4.0], absent=frozenset({2})))
    assert series["obs"].tolist() == [1, 1, 0, 1]
    assert series["ret"].tolist()[1:] == pytest.approx([math.log(2), 0.0, math.log(2)])


def test_filled_day_does_not_calm_the_volatility() -> None:
    series = standardise(closes(wave(), absent=frozenset({30, 31, 32})))
    assert series["vol30"].iloc[29] == series["vol30"].iloc[30] == series["vol30"].iloc[32]
    # Three filled days and the return after them weigh as one observation of their daily average.
    square = series["ret"].to_numpy() ** 2
    square[33] /= 4
    seen = np.delete(square, [0, 30, 31, 32])
    weights = (29 / 31) ** np.arange(len(seen))[::-1]
    assert series["vol30"].iloc[-1] == pytest.approx(math.sqrt((weights * seen).sum() / weights.sum()))


def test_volatility_is_unknown_until_enough_returns_are_seen() -> None:
    vol = standardise(closes(wave()))["vol30"]
    assert vol.isna().sum() == MIN_RETURNS
    assert vol.isna().tolist() == sorted(vol.isna().tolist(), reverse=True)


def test_price_that_never_moves_has_a_floor() -> None:
    assert standardise(closes([1.0] * 20))["vol30"].dropna().unique().tolist() == [MIN_VOLATILITY]


@given(CLOSES, st.integers(1, 59))
def test_no_day_sees_a_later_one(values: list[float], cut: int) -> None:
    known = closes(values[: max(2, cut)])
    pd.testing.assert_frame_equal(
        standardise(known), standardise(closes(values)).iloc[: len(known)], check_freq=False
    )


@given(CLOSES)
def test_unit_of_the_price_does_not_matter(values: list[float]) -> None:
    whole, millionth = standardise(closes(values)), standardise(closes([v * 1e-6 for v in values]))
    np.testing.assert_allclose(whole["ret"], millionth["ret"], atol=1e-9)
    np.testing.assert_allclose(whole["vol30"], millionth["vol30"], atol=1e-9)


def test_run_writes_the_last_segment_only_and_reads_back_exactly(tmp_path: Path) -> None:
    coins, universe = tmp_path / "ingest" / "coins", tmp_path / "audit" / "universe"
    coins.mkdir(parents=True)
    universe.mkdir(parents=True)
    days = pd.date_range("2017-01-01", periods=100, freq="D")
    rows = [f"{day.date()},,,,{close!r},,," for day, close in zip(days, wave(100), strict=True)]
    header = "date,open,high,low,close,volume,market_cap,flags"
    (coins / "coin.csv").write_text("\n".join([header, *rows[:20], *rows[40:]]) + "\n")
    entry = {"schema": "crypto.universe/1", "slug": "coin", "name": "Coin", "file": "Coin.csv", "rows": 60}
    (universe / "coin.json").write_text(json.dumps(entry | {"segment_start": "2017-02-10", "usable": True}))
    out = tmp_path / "out"
    step.run(tmp_path, out)
    series = pd.read_csv(out / "coin" / "series.csv", parse_dates=["date"], index_col="date")
    expected = standardise(pd.Series(wave(100), index=days).iloc[40:])
    pd.testing.assert_frame_equal(series, expected, check_freq=False, check_names=False, check_exact=True)
    meta = json.loads((out / "coin" / "meta.json").read_text())
    assert (meta["rows"], meta["observed"], meta["first"], meta["last"]) == (
        60,
        60,
        "2017-02-10",
        "2017-04-10",
    )
    assert meta["last_close"] == wave(100)[-1]
