"""A path is a correct recursion, an interval is a measured one, and nothing is known before its day.

Read next: ../../steps/crypto/forecast.py, intervals.py and walkforward.py beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.crypto.families import FAMILIES
from steps.crypto.feature_groups import training_rows
from steps.crypto.features import LIMIT, frames, origins
from steps.crypto.forecast import HORIZON, recurse
from steps.crypto.intervals import WINDOW, known_spread, nested, newest_tails, rolling_tails, tails
from steps.crypto.naive import Naive
from steps.crypto.series import Array, Series
from steps.crypto.split import folds as lay
from steps.crypto.walkforward import Fold, judge, out_of_sample, read_folds, walk_forward

ROOT = Path(__file__).parents[2]


class Says:
    """A model given by a function, which remembers the frames that it was shown."""

    def __init__(self, answer: Callable[[Array], Array]) -> None:
        self.answer = answer
        self.shown: list[Array] = []

    def predict(self, frames: Array) -> Array:
        self.shown.append(frames.copy())
        return self.answer(frames)


def coin(returns: Array, observed: Array | None = None) -> Series:
    """A series in memory with a volatility that changes from day to day."""
    count = len(returns) + 1
    days = np.datetime64("2016-01-01") + np.arange(count)
    return Series(
        slug="coin",
        dates=tuple(str(day) for day in days),
        log_close=np.concatenate([[4.0], 4.0 + np.cumsum(returns)]),
        ret=np.concatenate([[np.nan], returns]),
        vol=0.05 + 0.01 * np.sin(np.arange(count)),
        observed=np.ones(count, dtype=bool) if observed is None else observed,
        volume=np.full(count, np.nan),
        sha256="",
    )


FRAMES = st.integers(1, 6).flatmap(
    lambda lags: st.lists(
        st.lists(st.floats(-LIMIT, LIMIT), min_size=lags, max_size=lags), min_size=1, max_size=4
    )
)


@given(FRAMES, st.floats(1e-4, 1))
def test_zero_model_gives_a_flat_line(rows: list[list[float]], scale: float) -> None:
    path = recurse(Naive(), np.array(rows), np.full(len(rows), scale))
    assert path.shape == (len(rows), HORIZON)
    assert (path == 0).all()


@given(FRAMES, st.floats(-1, 1), st.floats(1e-4, 1))
def test_constant_model_gives_a_straight_line_in_log_price(
    rows: list[list[float]], constant: float, scale: float
) -> None:
    path = recurse(
        Says(lambda shown: np.full(len(shown), constant)), np.array(rows), np.full(len(rows), scale)
    )
    slope = constant * scale
    np.testing.assert_allclose(path, np.tile(slope * np.arange(1, HORIZON + 1), (len(rows), 1)), atol=1e-12)


@given(st.floats(-0.9, 0.9), st.floats(-2, 2), st.floats(0.001, 0.2))
def test_ar1_model_follows_its_geometric_series(phi: float, newest: float, scale: float) -> None:
    path = recurse(Says(lambda shown: phi * shown[:, -1]), np.array([[0.3, newest]]), np.array([scale]))[0]
    expected = newest * scale * np.cumsum([phi**day for day in range(1, HORIZON + 1)])
    np.testing.assert_allclose(path, expected, atol=1e-12)


def test_step_one_is_the_one_day_forecast_and_frames_keep_their_length() -> None:
    model = Says(lambda shown: shown.mean(axis=1))
    start = np.array([[1.0, 2.0, 3.0]])
    path = recurse(model, start, np.array([0.1]))[0]
    assert path[0] == pytest.approx(0.1 * model.answer(start)[0])
    assert [shown.shape for shown in model.shown] == [(1, 3)] * HORIZON
    # The oldest goes, the prediction comes in at the newest end.
    np.testing.assert_allclose(model.shown[1], [[2.0, 3.0, 2.0]])
    np.testing.assert_allclose(model.shown[2], [[3.0, 2.0, 7 / 3]])


def test_an_exploding_model_still_gives_a_finite_path() -> None:
    path = recurse(Says(lambda shown: 1e300 * np.ones(len(shown))), np.zeros((1, 2)), np.array([0.1]))
    np.testing.assert_allclose(path[0], 0.1 * LIMIT * np.arange(1, HORIZON + 1))


def test_frames_end_on_their_origin_in_units_of_its_volatility() -> None:
    series = coin(np.linspace(-0.05, 0.05, 12))
    at = origins(series, 3)
    assert at.tolist() == list(range(3, 13))
    made = frames(series, 3, at)
    np.testing.assert_allclose(made[-1], series.ret[-3:] / series.vol[-1])
    np.testing.assert_allclose(made[0], series.ret[1:4] / series.vol[3])


def test_training_rows_hold_every_known_target_and_none_after_the_end() -> None:
    series = coin(np.linspace(-0.05, 0.05, 12))
    rows, targets = training_rows(series, 3, len(series) - 1)
    assert len(rows) == len(targets) == len(series) - 1 - 3
    assert targets[-1] == pytest.approx(series.ret[-1] / series.vol[-2])
    _, fewer = training_rows(series, 3, 8)
    np.testing.assert_array_equal(fewer, targets[:5])  # origins 3..7, targets on days 4..8


def test_a_filled_day_is_neither_origin_nor_target() -> None:
    observed = np.ones(13, dtype=bool)
    observed[7] = False
    series = coin(np.linspace(-0.05, 0.05, 12), observed)
    _, targets = training_rows(series, 3, 12)
    days = (targets[:, None] == (series.ret[1:] / series.vol[:-1])[None, :]).argmax(axis=1) + 1
    assert days.tolist() == [4, 5, 6, 9, 10, 11, 12]
    judged = judge(series, np.array([4, 6]), np.zeros((2, HORIZON)), refits=0)
    assert np.isnan(judged.actual[0, 2])
    assert np.isnan(judged.actual[1, 0])
    assert np.isnan(judged.actual).sum() == 2 + 2 + 4  # the filled day twice, and the days still to come


def test_actual_moves_are_measured_from_the_origin_to_its_day() -> None:
    series = coin(np.arange(1, 13) / 100)
    judged = judge(series, np.array([2, 11]), np.zeros((2, HORIZON)), refits=0)
    np.testing.assert_allclose(judged.actual[0, :3], [0.03, 0.07, 0.12])
    assert judged.actual[1, 0] == pytest.approx(0.12)
    assert np.isnan(judged.actual[1, 1:]).all()


def test_walk_forward_refits_only_on_known_targets_and_takes_each_origin_once() -> None:
    series = coin(np.random.default_rng(0).normal(0, 0.05, 60))
    known: list[int] = []

    def fit(rows: Array, targets: Array) -> Naive:
        known.append(len(targets))
        return Naive()

    folds = [Fold(20, 20, 34), Fold(30, 30, 44), Fold(45, 45, 60)]
    rows = walk_forward(series, folds, fit, lags=2, min_rows=5)
    assert known == [18, 28, 43]  # origins 2..19, 2..29, 2..44
    assert rows.origins.tolist() == list(range(20, 61))
    assert rows.refits == 3


def test_prices_after_an_origin_leave_its_forecast_as_it_was() -> None:
    returns = np.random.default_rng(0).normal(0, 0.05, 60)
    changed = returns.copy()
    changed[40:] *= -3  # from day 41 on

    def fit(rows: Array, targets: Array) -> Says:
        weights = np.linalg.lstsq(rows, targets, rcond=None)[0]
        return Says(lambda shown: shown @ weights)

    folds = [Fold(20, 20, 29), Fold(30, 30, 39), Fold(40, 40, 60)]
    before = walk_forward(coin(returns), folds, fit, lags=2, min_rows=5)
    after = walk_forward(coin(changed), folds, fit, lags=2, min_rows=5)
    early = before.origins <= 40
    np.testing.assert_array_equal(before.forecast[early], after.forecast[early])
    assert (before.forecast[~early] != after.forecast[~early]).any()


def test_folds_can_be_merged_where_refits_are_dear() -> None:
    series = coin(np.zeros(59))
    days = [date.fromisoformat(day) for day in series.dates]
    first = next(row for row, day in enumerate(days) if day.toordinal() % 20 == 0)

    def found(test_days: int, min_train: int, every: int) -> list[Fold]:
        plan = {"test_days": test_days, "refit_days": 10, "min_train": min_train}
        return read_folds(series, lay(days[: first + 40], plan), every)

    a, b, c = first, first + 10, first + 20
    assert found(39, 1, 1) == [
        Fold(a, a, a + 9),
        Fold(b, b, b + 9),
        Fold(c, c, c + 9),
        Fold(c + 10, c + 10, c + 19),
    ]
    assert found(39, 1, 2) == [Fold(a, a, b + 9), Fold(c, c, c + 19)]
    # The same refit serves what is left of its days when its own day has left the window,
    assert found(29, 1, 2) == [Fold(a, b, b + 9), Fold(c, c, c + 19)]
    # and a coin that was too young on that day is first fitted when it can be, in the window or before it.
    assert found(39, a + 5, 2) == [Fold(a + 4, a + 4, b + 9), Fold(c, c, c + 19)]
    assert found(29, a + 5, 2) == [Fold(a + 4, b, b + 9), Fold(c, c, c + 19)]


@pytest.mark.parametrize("every", [1, 3])
def test_growing_by_one_grid_step_after_another_changes_no_forecast_that_is_still_tested(every: int) -> None:
    content = json.loads((ROOT / "data/params/linear/ridge.json").read_text())
    params = {**content, "min_rows": 30, "refit_every": every}
    returns = np.random.default_rng(0).normal(0, 0.05, 720)

    def said(length: int) -> dict[int, list[float]]:
        series = coin(returns[: length - 1])
        folds = lay([date.fromisoformat(day) for day in series.dates])
        rows = out_of_sample(series, folds, params, FAMILIES["linear"])
        return dict(zip(rows.origins.tolist(), rows.forecast.tolist(), strict=True))

    before, lost = said(360), 0  # from a young coin, of which all is tested, to one of two years
    for length in range(390, 721, 30):
        after = said(length)
        common = before.keys() & after.keys()
        assert len(common) >= min(len(before), 330)
        # But for the last bit, which a sum over a larger batch may round otherwise.
        for origin in common:
            assert before[origin] == pytest.approx(after[origin], rel=1e-12, abs=1e-15)
        lost += len(before) - len(common)
        before = after
    assert lost > 200


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=60), st.integers(1, 10), st.floats(0, 5))
def test_interval_ends_lie_on_both_sides_of_the_point_between_residuals_and_textbook(
    residuals: list[float], horizon: int, spread: float
) -> None:
    low, high = tails(sorted(residuals), horizon, spread)
    normal = 1.2816 * spread * math.sqrt(horizon)
    assert min(0.0, -normal, max(min(residuals), -LIMIT * horizon)) <= low <= 0
    assert 0 <= high <= max(0.0, normal, min(max(residuals), LIMIT * horizon))


def test_many_residuals_speak_for_themselves_and_few_give_way_to_the_square_root_of_time() -> None:
    residuals = np.linspace(-1, 1, 20001).tolist()
    assert tails(residuals, 1, 5.0) == pytest.approx((-0.8, 0.8), abs=0.005)
    # Ninety residuals ten days ahead are nine independent ones: half and half.
    half = np.linspace(-1, 3, 90).tolist()
    measured = np.quantile(half, [0.1 - 0.01, 0.9 + 0.01])
    normal = 1.2816 * 0.5 * math.sqrt(10)
    assert tails(half, 10, 0.5) == pytest.approx(
        ((measured[0] - normal) / 2, (measured[1] + normal) / 2), abs=1e-3
    )
    assert tails([30.0], 10, 1.0)[1] < 1.01 * 1.2816 * math.sqrt(10) + 0.4
    assert tails([-1e9, 1e9], 10, 1.0)[1] < 6  # what no path can reach counts as no more than one can


def test_a_young_coin_is_promised_no_hundredfold_for_one_lucky_month() -> None:
    # Ten weeks old, quiet but for one week of +25 % a day, and now loud: it once measured x100 in ten days.
    returns = np.random.default_rng(5).normal(0, 0.1, 70)
    returns[55:62] = 0.25
    path = np.concatenate([[0.0], np.cumsum(returns)])
    rows = np.full((71, HORIZON), np.nan)
    for day in range(1, HORIZON + 1):
        rows[: 71 - day, day - 1] = (path[day:] - path[:-day]) / 0.1
    own = np.nanmax(rows[:, 9])
    low, high = newest_tails(rows, 10)
    assert own > 15
    assert high < 0.5 * own
    assert -high < low < -3


def test_only_the_newest_known_residuals_count() -> None:
    old, new = np.full((WINDOW, 1), 4.0), np.tile([[-1.0], [np.nan], [1.0]], (WINDOW, 1))
    assert newest_tails(np.concatenate([old, new]), 1) == newest_tails(new, 1)
    assert newest_tails(new, 1) == pytest.approx((-1.0, 1.0), abs=0.01)


def test_the_spread_at_an_origin_is_that_of_the_residuals_known_there() -> None:
    spread = known_spread(np.array([np.nan, 3.0, np.nan, 1.0, 1e9]))
    assert np.isnan(spread[:2]).all()
    # The last is that of the origin to come; a residual beyond all limits is clipped.
    np.testing.assert_allclose(spread[2:], [3, 3, math.sqrt(5), math.sqrt((9 + 1 + LIMIT**2) / 3)])
    loud_then_quiet = np.concatenate([np.full(100, 4.0), np.full(WINDOW, 0.5)])
    assert known_spread(loud_then_quiet)[-1] == pytest.approx(0.5)
    assert known_spread(np.full(3, np.nan)).tolist() == pytest.approx([math.nan] * 4, nan_ok=True)


def held(residuals: Array, horizon: int, at_least: int) -> list[bool | None]:
    """Say for each origin whether its interval held; None where none was promised or the outcome is unknown."""
    ends, ahead = rolling_tails(residuals, horizon, at_least), residuals[:, horizon - 1]
    return [
        None if np.isnan([low, high, value]).any() else bool(low <= value <= high)
        for (low, high), value in zip(ends, ahead, strict=True)
    ]


def test_rolling_intervals_use_no_residual_before_it_was_known() -> None:
    # Quiet, then loud: an interval made from what came later would cover the loud days.
    residuals = np.array([0.1, -0.1] * 20 + [5.0, -5.0] * 3)
    inside = held(residuals[:, None], 1, at_least=10)
    assert inside[:10] == [None] * 10
    assert inside[40:42] == [False, False]
    quiet = np.tile([0.1, -0.1], 23)
    late = held(np.column_stack([quiet, quiet, quiet, residuals]), 4, at_least=10)
    assert late[:13] == [None] * 13
    assert late[13] is not None
    assert late[40:44] == [False] * 4  # the first loud residual is known four days on


@pytest.mark.parametrize("horizon", [1, 10])
def test_rolling_intervals_hold_in_about_80_percent_of_steady_days(horizon: int) -> None:
    returns = np.random.default_rng(3).normal(size=6000)
    path = np.concatenate([[0.0], np.cumsum(returns)])
    rows = np.column_stack([path[day : 5900 + day] - path[:5900] for day in range(1, HORIZON + 1)])
    judged = [within for within in held(rows, horizon, at_least=30) if within is not None]
    assert sum(judged) / len(judged) == pytest.approx(0.8, abs=0.02)


def test_the_newest_interval_is_that_of_the_origin_to_come() -> None:
    residuals = np.random.default_rng(4).normal(size=(500, 1))
    later = np.concatenate([residuals, [[np.nan]]])
    assert rolling_tails(later, 1, 30)[-1].tolist() == pytest.approx(list(newest_tails(residuals, 1)))


def test_young_coins_are_covered_as_well_as_old_ones() -> None:
    # Four hundred coins of ten weeks: the interval of the last known day against the ten days after it.
    within = []
    for seed in range(400):
        path = np.cumsum(np.random.default_rng(seed).standard_t(4, size=80) / math.sqrt(2))
        rows = np.full((70, HORIZON), np.nan)
        for day in range(1, HORIZON + 1):
            rows[: 70 - day, day - 1] = path[day:70] - path[: 70 - day]
        low, high = newest_tails(rows, 10)
        within.append(low <= path[79] - path[69] <= high)
    assert 0.74 <= sum(within) / len(within) <= 0.86


@given(st.lists(st.tuples(st.floats(-5, 0), st.floats(0, 5)), min_size=1, max_size=10))
def test_nested_intervals_never_shrink(ends: list[tuple[float, float]]) -> None:
    result = nested(ends)
    assert all(low <= a and high >= b for (low, high), (a, b) in zip(result, ends, strict=True))
    widths = [high - low for low, high in result]
    assert widths == sorted(widths)
