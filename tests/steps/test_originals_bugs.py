"""Bugs of the programs that these pipelines follow, each with a test that it is not inherited.

The forecasting programs of 2017 fed nothing back, lost windows, trained for one step, counted days wrongly and
measured errors in dollars. Each test is named after the bug that it would catch.

Read next: ../../steps/crypto/forecast.py, test_forecast.py (the same recursion as properties).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from pachlet.step import BadInput
from steps.crypto import predict, train_linear, train_naive, train_svm
from steps.crypto.feature_groups import training_rows
from steps.crypto.features import frames, origins
from steps.crypto.forecast import HORIZON, recurse
from steps.crypto.linear import LINEAR
from steps.crypto.series import Array, Series
from steps.crypto.walkforward import out_of_sample

ROOT = Path(__file__).parents[2]
TRAIN = {"naive": train_naive, "linear": train_linear, "svm": train_svm}

AddCoin = Callable[..., Series]
AddParams = Callable[..., None]
MakeReturns = Callable[..., Any]
Judge = Callable[..., None]


@pytest.fixture
def forecast(pfs: Path, add_params: AddParams, judge: Judge) -> Callable[..., dict[str, Any]]:
    """Train and judge what needs no TensorFlow, and predict; returns the forecast of the coin."""

    def make(slug: str = "coin", **svm: Any) -> dict[str, Any]:
        add_params("naive", "last")
        add_params("linear", "ridge", alpha=10.0)
        add_params("svm", "rbf1", **svm)
        for family, module in TRAIN.items():
            module.run(pfs, pfs / f"train-{family}")
        judge()
        predict.run(pfs, pfs / "out")
        return dict(json.loads((pfs / f"out/{slug}.json").read_text()))

    return make


def points(forecast: dict[str, Any], model: str) -> Array:
    (own,) = (each for each in forecast["candidates"] if each["model"] == model)
    return np.array([day["point"] for day in own["forecast"]])


class LastReturn:
    """Says the newest return again, halved."""

    def predict(self, frames: Array) -> Array:
        half: Array = frames[:, -1] / 2
        return half


def test_bug_1_predictions_are_fed_back_and_the_frame_does_not_shrink() -> None:
    path = recurse(LastReturn(), np.array([[9.0, 9.0, 4.0]]), np.array([1.0]))[0]
    np.testing.assert_allclose(np.diff(path, prepend=0.0), [2.0 / 2**day for day in range(HORIZON)])


def test_bug_2_every_step_is_based_on_the_last_price(
    add_coin: AddCoin, forecast: Callable[..., dict[str, Any]], returns: MakeReturns
) -> None:
    # Prices fifty days back are a hundredth: a base from there would show.
    steep = np.concatenate([returns(300), np.full(50, 0.1)])
    add_coin("coin", steep)
    result = forecast()
    for model in ("naive.last", "linear.ridge", "svm.rbf1"):
        np.testing.assert_allclose(np.log(points(result, model) / result["last"]), 0, atol=1.0)


def test_bug_3_the_newest_window_is_neither_dropped_nor_shifted(
    add_coin: AddCoin, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(100))
    at = origins(series, 5)
    assert at[-1] == len(series) - 1
    np.testing.assert_allclose(frames(series, 5, at)[-1], series.ret[-5:] / series.vol[-1])
    _, targets = training_rows(series, 5, len(series) - 1)
    assert targets[-1] == pytest.approx(series.ret[-1] / series.vol[-2])


def test_bug_4_the_lstm_takes_more_than_one_gradient_step() -> None:
    # The parameters allow it; that it happens is counted where Keras runs (test_train.py).
    params = json.loads((ROOT / "data/params/lstm/small.json").read_text())
    fewest_steps = params["patience"] * (0.85 * params["min_rows"] // params["batch"])
    assert params["epochs"] > params["patience"]
    assert fewest_steps > 1


def test_bug_5_windows_are_not_divided_by_a_price_of_long_ago(
    add_coin: AddCoin, returns: MakeReturns
) -> None:
    tail = returns(20, seed=2)
    calm = add_coin("calm", np.concatenate([returns(100), tail]))
    crash = add_coin("crash", np.concatenate([returns(100)[:50], [-3.0], returns(100)[51:], tail]))
    scale = [series.vol[-1] for series in (calm, crash)]
    newest = [frames(series, 10, np.array([len(series) - 1]))[0] for series in (calm, crash)]
    np.testing.assert_allclose(newest[0] * scale[0], newest[1] * scale[1], rtol=1e-9)


def test_bug_6_day_one_is_the_day_after_the_last_one(
    add_coin: AddCoin, forecast: Callable[..., dict[str, Any]], pfs: Path, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(300, phi=-0.5))
    result = forecast()
    assert result["forecast"][0]["date"] == str(np.datetime64(series.dates[-1]) + np.timedelta64(1, "D"))
    # And what stands there is the model's answer to the newest frame, not its answer of a day on.
    coefficients = joblib.load(pfs / "train-linear/coin/linear.ridge/model.joblib").coef_
    move = float(coefficients @ series.ret[-len(coefficients) :])
    assert points(result, "linear.ridge")[0] == pytest.approx(series.last_price * np.exp(move))


def test_bug_7_errors_are_not_measured_in_dollars(
    add_coin: AddCoin, forecast: Callable[..., dict[str, Any]], pfs: Path, returns: MakeReturns
) -> None:
    add_coin("bitcoin", returns(400, phi=-0.4), price=3630.7)
    add_coin("dogecoin", returns(400, phi=-0.4), price=3630.7e-6 / 4)
    large, small = forecast("bitcoin"), json.loads((pfs / "out/dogecoin.json").read_text())
    ratio = small["last"] / large["last"]
    for model in ("naive.last", "linear.ridge", "svm.rbf1"):
        np.testing.assert_allclose(points(small, model) / points(large, model), ratio, rtol=1e-6)
    for slug in ("bitcoin", "dogecoin"):
        card = json.loads((pfs / f"train-svm/{slug}/svm.rbf1/card.json").read_text())
        assert card["fit"]["support_vectors"] > 100  # the original had none on a cheap coin
    assert len(set(points(small, "svm.rbf1"))) > 1


def test_bug_7_scaling_prices_by_a_millionth_scales_forecasts_and_intervals(
    add_coin: AddCoin, forecast: Callable[..., dict[str, Any]], pfs: Path, returns: MakeReturns
) -> None:
    add_coin("dear", returns(300, seed=5), price=1000.0)
    add_coin("cheap", returns(300, seed=5), price=0.001)
    dear, cheap = forecast("dear"), json.loads((pfs / "out/cheap.json").read_text())
    for one, other in zip(dear["forecast"], cheap["forecast"], strict=True):
        assert one["model"] == other["model"]
        for end in ("point", "lo80", "hi80"):
            assert other[end] == pytest.approx(one[end] * 1e-6, rel=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param([0.2, -0.2] * 150, id="bouncing"),
        pytest.param([0.0] * 290 + [5.6] + [0.0] * 9, id="jump of x288 near the end"),
        pytest.param([-0.05] * 300, id="falling towards zero"),
        pytest.param([0.0] * 300, id="never moves"),
        pytest.param([0.1] * 150 + [-0.1] * 150, id="up and down again"),
    ],
)
def test_bug_8_forecasts_are_positive_finite_and_near_the_last_price(
    shape: list[float], add_coin: AddCoin, forecast: Callable[..., dict[str, Any]]
) -> None:
    add_coin("coin", shape, price=0.002)
    result = forecast()
    for day in result["forecast"]:
        assert 0 < day["lo80"] <= day["point"] <= day["hi80"] < float("inf")
    for model in ("linear.ridge", "svm.rbf1"):
        moves = np.log(points(result, model) / result["last"])
        assert np.isfinite(moves).all()
    assert result["forecast"][0]["point"] == pytest.approx(result["last"], rel=0.5)


def test_bug_9_steps_are_days_like_the_history(
    add_coin: AddCoin, forecast: Callable[..., dict[str, Any]], returns: MakeReturns
) -> None:
    add_coin("coin", returns(600, phi=-0.4))
    result = forecast()
    dates = [np.datetime64(day["date"]) for day in result["forecast"]]
    assert {int(gap.astype(int)) for gap in np.diff(dates)} == {1}
    # The original ran 24 steps a day: its moves were 24 times what a day's are.
    first_day = abs(np.log(points(result, "linear.ridge")[0] / result["last"]))
    assert first_day < 3 * 0.05


def test_bug_10_scores_are_of_days_that_the_model_had_not_seen(
    add_coin: AddCoin, add_params: AddParams, pfs: Path, judge: Judge, returns: MakeReturns
) -> None:
    # An rbf model that may bend as it likes is perfect on what it saw and useless elsewhere.
    add_coin("coin", returns(300))
    add_params("naive", "last")
    add_params("svm", "wild", C=1000.0, gamma=50.0, epsilon=0.0001)
    judge()
    scores = json.loads((pfs / "score/coin.json").read_text())["models"]
    assert scores["svm.wild"]["horizons"]["1"]["rel_mae"] > 0.97


def test_bug_10_training_persists_and_predicting_reads(
    add_coin: AddCoin, forecast: Callable[..., dict[str, Any]], pfs: Path, returns: MakeReturns
) -> None:
    add_coin("coin", returns(300))
    first = forecast()
    imported = {
        node.module
        for path in (ROOT / "steps/crypto").glob("predict.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert not {module for module in imported if module and ("train" in module or "backtest" in module)}
    predict.run(pfs, pfs / "again")
    assert json.loads((pfs / "again/coin.json").read_text()) == first


def test_bug_13_no_coin_vanishes_and_no_unknown_model_becomes_another(
    add_coin: AddCoin, add_params: AddParams, forecast: Callable[..., dict[str, Any]], pfs: Path,
    returns: MakeReturns,
) -> None:  # fmt: skip
    slugs = [f"coin{number}" for number in range(4)]
    for number, slug in enumerate(slugs):
        add_coin(slug, returns(60 + 80 * number))
    forecast("coin0")
    assert sorted(path.stem for path in (pfs / "out").glob("*.json")) == slugs
    add_params("linear", "prophet", family="prophet")
    with pytest.raises(BadInput, match="must be \"linear\", not 'prophet'"):
        train_linear.run(pfs, pfs / "again")


def test_no_look_ahead_a_later_cutoff_leaves_earlier_forecasts_as_they_were(
    add_coin: AddCoin, add_params: AddParams, pfs: Path, returns: MakeReturns
) -> None:
    days = returns(400, seed=8)
    late = add_coin("late", np.append(days, 2.5))
    early = add_coin("early", days)
    add_params("linear", "one")
    params = json.loads((pfs / "params/linear/one.json").read_text())
    made = {}
    for series in (early, late):
        folds = json.loads((pfs / f"split/{series.slug}/folds.json").read_text())
        rows = out_of_sample(series, folds, params, LINEAR)
        made[series.slug] = dict(zip(rows.origins.tolist(), rows.forecast.tolist(), strict=True))
    common = made["early"].keys() & made["late"].keys()
    assert len(common) > 300
    for day in common:
        # To the last bits only: a sum's rounding depends on how many frames are multiplied at once.
        np.testing.assert_allclose(made["early"][day], made["late"][day], rtol=1e-9, atol=1e-15)
