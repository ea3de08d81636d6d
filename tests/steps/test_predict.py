"""The predict stage: it reads models and never trains, shows what the guard allows, and names what it used.

Read next: ../../steps/crypto/predict.py, conftest.py (the coins).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pachlet.step import BadInput
from steps.crypto import predict, train_linear, train_naive, train_svm
from steps.crypto.formats import write_json
from steps.crypto.lstm_forward import Lstm, save_weights
from steps.crypto.series import Series

AddCoin = Callable[..., Series]
AddParams = Callable[..., None]
MakeReturns = Callable[..., Any]
Judge = Callable[..., None]
Predict = Callable[[], dict[str, Any]]


@pytest.fixture
def trained(pfs: Path, add_params: AddParams, judge: Judge) -> Callable[[], None]:
    """Train and judge the families that need no TensorFlow on the coins that were added."""

    def train() -> None:
        for family, pid in (("naive", "last"), ("linear", "ridge"), ("svm", "rbf1")):
            add_params(family, pid)
            run = {"naive": train_naive, "linear": train_linear, "svm": train_svm}[family].run
            run(pfs, pfs / f"train-{family}")
        judge()

    return train


@pytest.fixture
def forecast(pfs: Path) -> Predict:
    def run() -> dict[str, Any]:
        predict.run(pfs, pfs / "out")
        return dict(json.loads((pfs / "out/coin.json").read_text()))

    return run


def test_forecast_has_ten_dated_days_with_intervals_that_only_grow(
    add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    series = add_coin("coin", returns(400, phi=-0.4), price=3630.7)
    trained()
    result = forecast()
    assert (result["schema"], result["slug"], result["name"], result["status"]) == (
        "crypto.forecast/2",
        "coin",
        "Coin",
        "ok",
    )
    assert result["origin"] == series.dates[-1] == "2017-02-04"
    assert result["last"] == pytest.approx(series.last_price)
    days = result["forecast"]
    assert [day["h"] for day in days] == list(range(1, 11))
    assert [days[0]["date"], days[-1]["date"]] == ["2017-02-05", "2017-02-14"]
    for own in [days, *(each["forecast"] for each in result["candidates"])]:
        assert all(0 < day["lo80"] <= day["point"] <= day["hi80"] < math.inf for day in own)
        widths = [day["hi80"] - day["lo80"] for day in own]
        assert widths == sorted(widths)


def test_strong_autocorrelation_is_shown_by_a_challenger_and_naive_stands_beside_it(
    add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    add_coin("coin", returns(900, phi=-0.6))
    trained()
    result = forecast()
    shown = result["forecast"]
    assert shown[0]["model"] in ("linear.ridge", "svm.rbf1")
    (same,) = (each for each in result["candidates"] if each["model"] == shown[0]["model"])
    assert same["forecast"][0]["point"] == shown[0]["point"]
    (naive,) = (each for each in result["candidates"] if each["model"] == "naive.last")
    assert {day["point"] for day in naive["forecast"]} == {result["last"]}


def test_a_random_walk_is_left_to_naive(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    for slug in ("coin", "second", "third", "fourth"):
        add_coin(slug, returns(600, seed=len(slug)))
    trained()
    assert {each["model"] for each in forecast()["candidates"]} == {"naive.last", "linear.ridge", "svm.rbf1"}
    shown = {
        day["model"]
        for path in (pfs / "out").glob("*.json")
        for day in json.loads(path.read_text())["forecast"]
    }
    assert shown == {"naive.last"}


def crown(pfs: Path, **champions: str) -> None:
    """Make these models champions, whatever compare would say: day_1="svm.rbf1"."""
    h = {key.removeprefix("day_"): {"champion": model} for key, model in champions.items()}
    write_json(pfs / "champions/champions/coin.json", {"schema": "crypto.champion/1", "slug": "coin", "h": h})


def test_each_day_is_the_champions_of_the_next_judged_horizon(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    add_coin("coin", returns(400, phi=-0.4))
    trained()
    crown(pfs, day_1="svm.rbf1", day_10="linear.ridge")
    result = forecast()
    assert [day["model"] for day in result["forecast"]] == ["svm.rbf1"] + ["linear.ridge"] * 9
    own = {each["model"]: each["forecast"] for each in result["candidates"]}
    for day in result["forecast"]:
        assert day["point"] == own[day["model"]][day["h"] - 1]["point"]
    # The seam is in the points; the interval goes on growing over it.
    widths = [day["hi80"] - day["lo80"] for day in result["forecast"]]
    assert widths == sorted(widths)


def test_a_champion_without_a_model_is_stood_in_for_by_naive_and_named(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    add_coin("coin", returns(400))
    trained()
    crown(pfs, day_1="svm.gone", day_10="naive.last")
    result = forecast()
    assert {day["model"] for day in result["forecast"]} == {"naive.last"}
    assert result["notice"] == "svm.gone is champion but has no model for this coin"


def test_a_coin_that_is_newer_than_the_champions_gets_the_naive_forecast(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    add_coin("coin", returns(400, phi=-0.6))
    trained()
    (pfs / "champions/champions/coin.json").unlink()
    assert {day["model"] for day in forecast()["forecast"]} == {"naive.last"}


def test_each_day_names_the_commit_that_its_model_came_in(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    add_coin("coin", returns(400))
    trained()
    crown(pfs, day_1="svm.rbf1", day_10="naive.last")
    assert {day["model_commit"] for day in forecast()["forecast"]} == {None}  # outside of a pipeline
    for name in ("train-svm", "train-naive", "champions"):
        monkeypatch.setenv(f"{name}_COMMIT", f"commit of {name}")
    result = forecast()
    assert [day["model_commit"] for day in result["forecast"][:2]] == [
        "commit of train-svm",
        "commit of train-naive",
    ]
    assert result["champions_commit"] == "commit of champions"


def test_models_are_named_by_the_digests_of_their_files(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    series = add_coin("coin", returns(400))
    trained()
    expected = {
        folder.name: hashlib.sha256(next(folder.glob("model.*")).read_bytes()).hexdigest()
        for folder in pfs.glob("train-*/coin/*")
    }
    models = forecast()["models"]
    assert {model["id"]: model["sha256"] for model in models} == expected
    assert {model["train_end"] for model in models} == {series.dates[-1]}


def test_a_model_file_that_is_not_its_cards_is_refused(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None]
) -> None:
    add_coin("coin", returns(400))
    trained()
    (pfs / "train-svm/coin/svm.rbf1/model.joblib").write_bytes(b"something else")
    with pytest.raises(BadInput, match=r"coin/svm.rbf1/model.joblib is not the file that its card describes"):
        predict.run(pfs, pfs / "out")


def test_skipped_models_are_listed_with_their_reason(
    add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    add_coin("coin", returns(60))
    trained()
    result = forecast()
    assert result["status"] == "ok"
    assert len(result["forecast"]) == 10
    skipped = [each for each in result["candidates"] if each["status"] == "skipped"]
    assert skipped == [
        {"model": "linear.ridge", "status": "skipped", "reason": "short_history"},
        {"model": "svm.rbf1", "status": "skipped", "reason": "short_history"},
    ]


def test_a_coin_without_any_model_is_skipped_and_says_so(
    add_coin: AddCoin, returns: MakeReturns, forecast: Predict
) -> None:
    add_coin("coin", returns(60))
    result = forecast()
    assert (result["status"], result["reason"]) == ("skipped", "no_naive_model")
    assert result["forecast"] == []


def test_models_without_a_series_are_refused(pfs: Path) -> None:
    (pfs / "train-naive/coin").mkdir(parents=True)
    with pytest.raises(BadInput, match="is their coin gone from standardise"):
        predict.run(pfs, pfs / "out")


def test_an_lstm_is_used_without_tensorflow(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None], forecast: Predict
) -> None:
    add_coin("coin", returns(900, phi=-0.6))
    trained()
    folder = pfs / "train-lstm/coin/lstm.small"
    folder.mkdir(parents=True)
    # All gates open halfway, nothing remembered but the dense bias: the model says 0.01 volatilities a day.
    weights = {
        "kernel": np.zeros((1, 8)),
        "recurrent": np.zeros((2, 8)),
        "bias": np.zeros(8),
        "dense_kernel": np.zeros((2, 1)),
        "dense_bias": np.array([0.01]),
    }
    save_weights(Lstm(weights), folder / "model.safetensors")
    card = json.loads((pfs / "train-linear/coin/linear.ridge/card.json").read_text())
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    card |= {
        "family": "lstm",
        "pid": "small",
        "model": {"file": "model.safetensors", "sha256": digest},
    }
    write_json(folder / "card.json", card)
    score = json.loads((pfs / "score/coin.json").read_text())
    score["models"]["lstm.small"] = score["models"]["linear.ridge"]
    write_json(pfs / "score/coin.json", score)
    result = forecast()
    (own,) = (each for each in result["candidates"] if each["model"] == "lstm.small")
    logs = np.log([result["last"], *(day["point"] for day in own["forecast"])])
    vol = float((pfs / "standardise/coin/series.csv").read_text().splitlines()[-1].split(",")[3])
    np.testing.assert_allclose(np.diff(logs), 0.01 * vol, rtol=1e-4)


def test_predicting_twice_gives_the_same_bytes(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns, trained: Callable[[], None]
) -> None:
    add_coin("coin", returns(400))
    trained()
    predict.run(pfs, pfs / "out")
    predict.run(pfs, pfs / "again")
    assert (pfs / "out/coin.json").read_bytes() == (pfs / "again/coin.json").read_bytes()
