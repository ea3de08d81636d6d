"""The train stages: what they learn, what they write, and what they refuse.

Keras trains the LSTM in the environment of an image, which has TensorFlow; its forward pass, which is what forecasts
are made with, is ours.

Read next: ../../steps/crypto/training.py, conftest.py (the coins).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from pachlet.step import BadInput
from steps.crypto import train_boosting, train_linear, train_naive, train_svm
from steps.crypto.cards import CARD, PARAMS
from steps.crypto.formats import read_json, write_json
from steps.crypto.lstm_forward import Lstm, load_weights, save_weights
from steps.crypto.series import Series, read_series
from steps.crypto.svm import SVM

ROOT = Path(__file__).parents[2]
RUNS: dict[str, Callable[[Path, Path], None]] = {
    "naive": train_naive.run,
    "drift": train_naive.run,
    "linear": train_linear.run,
    "svm": train_svm.run,
    "boosting": train_boosting.run,
}

AddCoin = Callable[..., Series]
AddParams = Callable[..., None]
MakeReturns = Callable[..., Any]

families = pytest.mark.parametrize("family", sorted(RUNS))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def card_of(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob("card.json")
    return dict(json.loads(path.read_text()))


def test_linear_finds_the_autocorrelation_that_is_there(
    pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(900, phi=-0.5, seed=2))
    add_params("linear", "few", alpha=1.0, lags=3)
    train_linear.run(pfs, tmp_path / "out")
    model = joblib.load(tmp_path / "out/coin/linear.few/model.joblib")
    # In volatilities of the origin, which its own return raises: a little below -0.5 in size.
    np.testing.assert_allclose(model.coef_, [0, 0, -0.45], atol=0.12)


@families
def test_card_names_model_data_and_what_they_were_made_with(
    family: str, pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(400))
    add_params(family, "one")
    RUNS[family](pfs, tmp_path / "out")
    card = card_of(tmp_path / "out")
    assert (card["schema"], card["slug"], card["family"], card["pid"], card["status"]) == (
        "crypto.card/1",
        "coin",
        family,
        "one",
        "ok",
    )
    assert card["train_end"] == series.dates[-1]
    assert card["data_sha256"] == series.sha256
    assert card["params"] == json.loads((pfs / "params" / family / "one.json").read_text())
    assert card["lib_versions"]["numpy"] == np.__version__
    assert card["train_rows"] > 350


@families
def test_same_inputs_give_the_same_bytes_whatever_came_before(
    family: str, pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_params(family, "one")
    add_coin("first", returns(200, seed=1))
    add_coin("second", returns(150, seed=2))
    RUNS[family](pfs, tmp_path / "both")
    shutil.rmtree(pfs / "standardise/first")
    RUNS[family](pfs, tmp_path / "alone")
    both, alone = files_of(tmp_path / "both"), files_of(tmp_path / "alone")
    assert alone.keys() < both.keys()
    assert {name: both[name] for name in alone} == alone


@pytest.mark.parametrize("family", ["linear", "svm"])
def test_short_history_is_an_answer_and_leaves_no_model(
    family: str, pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("young", returns(60))
    add_params(family, "one")
    RUNS[family](pfs, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/young" / f"{family}.one").iterdir()] == ["card.json"]
    card = card_of(tmp_path / "out")
    assert (card["status"], card["reason"]) == ("skipped", "short_history")


def test_naive_serves_the_shortest_usable_coin(
    pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("young", returns(59), missing=[20, 21, 40])
    add_params("naive", "last")
    train_naive.run(pfs, tmp_path / "out")
    assert card_of(tmp_path / "out")["status"] == "ok"


def test_every_parameter_file_of_a_datum_gets_a_folder(
    pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(200))
    add_params("linear", "mild", alpha=10.0)
    add_params("linear", "strong", alpha=1e6)
    train_linear.run(pfs, tmp_path / "out")
    mild, strong = (
        np.abs(joblib.load(tmp_path / "out/coin" / name / "model.joblib").coef_).sum()
        for name in ("linear.mild", "linear.strong")
    )
    assert mild > 10 * strong


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"family": "prophet"}, "must be \"svm\", not 'prophet'"),
        ({"gama": 0.1}, "unknown parameter 'gama'; known: C, epsilon"),
        ({"lags": "ten"}, "'lags' must be of type int, not 'ten'"),
        ({"lags": True}, "'lags' must be of type int, not True"),
        ({"C": -1}, "'C' must be above 0, not -1"),
        ({"schema": "crypto.params/9"}, "crypto.params/1"),
    ],
)
def test_a_wrong_parameter_is_refused_with_a_sentence(
    changes: dict[str, Any], sentence: str, pfs: Path, tmp_path: Path, add_coin: AddCoin,
    add_params: AddParams, returns: MakeReturns,
) -> None:  # fmt: skip
    add_coin("coin", returns(100))
    add_params("svm", "one", **changes)
    with pytest.raises(BadInput) as caught:
        train_svm.run(pfs, tmp_path / "out")
    assert sentence in str(caught.value)


def test_a_missing_parameter_is_refused(
    pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(100))
    add_params("svm", "one")
    path = pfs / "params/svm/one.json"
    content = json.loads(path.read_text())
    del content["gamma"]
    path.write_text(json.dumps(content))
    with pytest.raises(BadInput, match="parameter 'gamma' is missing"):
        train_svm.run(pfs, tmp_path / "out")


@pytest.mark.parametrize("family", sorted({*RUNS} - {"naive", "drift"}))
def test_a_model_is_fitted_on_the_rows_that_its_file_names(
    family: str, pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(300))
    for pid, rows in (("all", ""), ("half", "age >= 150"), ("none", "price < 0")):
        add_params(family, pid, rows=rows)
    RUNS[family](pfs, tmp_path / "out")
    cards = [
        read_json(tmp_path / f"out/coin/{family}.{pid}/card.json", CARD) for pid in ("all", "half", "none")
    ]
    assert [card["status"] for card in cards] == ["ok", "ok", "skipped"]
    assert cards[0]["train_rows"] - cards[1]["train_rows"] == 150 - cards[0]["params"]["lags"]
    assert (cards[2]["train_rows"], cards[2]["reason"]) == (0, "few_rows")


def test_all_that_is_wrong_with_a_parameter_file_is_told_at_once(pfs: Path) -> None:
    path = pfs / "params/svm/one.json"
    write_json(path, {"schema": PARAMS, "family": "svm", "c": 1.0, "lags": "ten", "epsilon": -1, "seed": 0})
    with pytest.raises(BadInput) as caught:
        SVM.read(path)
    assert str(caught.value) == (
        "params/svm/one.json: unknown parameters 'c', 'seed';"
        " known: C, epsilon, features, gamma, lags, max_rows, min_rows, refit_every, rows;"
        " parameters 'C', 'gamma', 'max_rows', 'min_rows', 'refit_every' are missing;"
        " 'lags' must be of type int, not 'ten'; 'epsilon' must be at least 0, not -1"
    )


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("date,log_close,ret,vol30,obs,volume\n", "has no rows"),
        ("date,close\n2016-01-01,1\n", "is not date,log_close,ret,vol30,obs,volume with numbers"),
        ("date,log_close,ret,vol30,obs,volume\n2016-01-01,abc,,,1,\n", "with numbers: could not convert"),
        ("date,log_close,ret,vol30,obs,volume\n2016-01-01,1.0,,0.0,1,\n", "a volatility that is not above 0"),
    ],
)
def test_an_unreadable_series_is_refused_with_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "series.csv").write_text(text)
    with pytest.raises(BadInput) as caught:
        read_series(tmp_path)
    assert sentence in str(caught.value)


def test_only_the_last_segment_is_read(tmp_path: Path) -> None:
    rows = ["date,log_close,ret,vol30,obs,volume", "2016-01-01,1.0,,,1,", "2016-01-02,1.5,0.5,0.5,1,9.0"]
    (tmp_path / "series.csv").write_text(
        "\n".join([*rows, "2016-06-01,3.0,,,1,", "2016-06-02,3.5,0.5,0.25,1,7.0"])
    )
    series = read_series(tmp_path)
    assert series.dates == ("2016-06-01", "2016-06-02")
    assert series.last_price == pytest.approx(math.exp(3.5))
    assert np.isnan(series.ret[0])
    assert (np.isnan(series.volume[0]), series.volume[1]) == (True, 7.0)
    assert series.vol[1] == 0.25


def golden_lstm() -> Lstm:
    """Two units with weights in tenths."""
    return Lstm(
        {
            "kernel": np.arange(-4, 4).reshape(1, 8) / 10.0,
            "recurrent": np.arange(16).reshape(2, 8)[:, ::-1] / 20.0 - 0.4,
            "bias": np.array([0.0, 0.1, 1.0, 1.0, 0.0, -0.1, 0.2, 0.0]),
            "dense_kernel": np.array([[0.7], [-0.3]]),
            "dense_bias": np.array([0.05]),
        }
    )


GOLDEN_FRAMES = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [-3.0, 5.0, -5.0]])


def test_lstm_forward_pass_follows_its_definition() -> None:
    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    weights = golden_lstm().weights
    for frame, got in zip(GOLDEN_FRAMES, golden_lstm().predict(GOLDEN_FRAMES), strict=True):
        hidden, cell = [0.0, 0.0], [0.0, 0.0]
        for value in frame:
            gate = [
                value * weights["kernel"][0, g]
                + sum(hidden[u] * weights["recurrent"][u, g] for u in range(2))
                + weights["bias"][g]
                for g in range(8)
            ]
            cell = [
                sigmoid(gate[2 + u]) * cell[u] + sigmoid(gate[u]) * math.tanh(gate[4 + u]) for u in range(2)
            ]
            hidden = [sigmoid(gate[6 + u]) * math.tanh(cell[u]) for u in range(2)]
        assert got == pytest.approx(0.7 * hidden[0] - 0.3 * hidden[1] + 0.05, abs=1e-12)


def test_lstm_weights_come_back_from_safetensors_as_they_were(tmp_path: Path) -> None:
    save_weights(golden_lstm(), tmp_path / "a.safetensors")
    loaded = load_weights(tmp_path / "a.safetensors")
    np.testing.assert_allclose(loaded.predict(GOLDEN_FRAMES), golden_lstm().predict(GOLDEN_FRAMES), atol=1e-6)
    save_weights(loaded, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(b"no weights")
    with pytest.raises(BadInput, match="holds no readable safetensors"):
        load_weights(tmp_path / "b.safetensors")


# Trains two coins in both orders in one process, then again, and compares Keras with numpy.
KERAS_SCRIPT = """
import json, pathlib, shutil, sys
import numpy as np
from steps.crypto import lstm_network, train_lstm
from steps.crypto.lstm_forward import load_weights
pfs = pathlib.Path(sys.argv[1]); parked = pfs.parent / "parked"
def train(name, order):
    for slug in order:
        for other in ("steady", "turning"):
            if other != slug:
                shutil.move(pfs / "standardise" / other, parked)
        train_lstm.run(pfs, pfs.parent / name)
        for other in ("steady", "turning"):
            if other != slug:
                shutil.move(parked, pfs / "standardise" / other)
train("forth", ["steady", "turning"])
train("back", ["turning", "steady"])
model = load_weights(pfs.parent / "forth/turning/lstm.one/model.safetensors")
net = lstm_network.network(5, 16, 0.003, 0)
arrays = [model.weights[name].astype(np.float32) for name in lstm_network.NAMES]
for variable, value in zip(net.model.trainable_variables, arrays, strict=True):
    variable.assign(value)
frames = np.random.default_rng(0).normal(size=(50, 5))
keras_says = net.model(frames[:, :, None].astype(np.float32)).numpy()[:, 0]
print("RESULT", json.dumps({"gap": float(np.abs(keras_says - model.predict(frames)).max())}))
"""


def test_keras_trains_the_same_bytes_in_any_order_and_numpy_agrees_with_it(
    pfs: Path, tmp_path: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns,
    image_python: Path,
) -> None:  # fmt: skip
    add_coin("steady", returns(250, seed=1))
    add_coin("turning", returns(500, phi=-0.6, seed=2))
    add_params("lstm", "one", lags=5)
    script = tmp_path / "script.py"
    script.write_text(KERAS_SCRIPT)
    command = [image_python, script, pfs]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    assert json.loads(line.removeprefix("RESULT "))["gap"] < 1e-6
    assert files_of(tmp_path / "forth") == files_of(tmp_path / "back")
    card = card_of(tmp_path / "forth/turning")
    # One gradient step, as in the original, is the random beginning; this has learnt what is there.
    assert card["fit"]["gradient_steps"] > 50
    assert card["fit"]["best_epoch"] > 1
