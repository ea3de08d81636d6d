"""Models for all coins: the same honesty as for one, what rows they learn from, and that a recursion stays one.

Read next: ../../steps/crypto/panel.py, ../../steps/crypto/backtest_global.py, conftest.py (the coins).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVR

from pachlet.step import BadInput
from steps.crypto import backtest_global, score, train_global
from steps.crypto.features import LIMIT
from steps.crypto.forecast import HORIZON, recurse
from steps.crypto.formats import write_json
from steps.crypto.global_fit import fit, least_absolute
from steps.crypto.global_models import Blend, Kernel, Linear
from steps.crypto.models import log_moves
from steps.crypto.panel import make_panel, rows_where
from steps.crypto.series import Array, Series, read_series

AddCoin = Callable[..., Series]
MakeReturns = Callable[..., Any]

ROOT = Path(__file__).parents[2]
COMMON = {
    "schema": "crypto.params/1",
    "family": "global",
    "lags": 4,
    "rows": "",
    "min_rows": 200,
    "refit_every": 4,
}
METHODS: dict[str, dict[str, Any]] = {
    "svm": {"C": 0.05, "epsilon": 0.05, "gamma": 0.02, "max_rows": 300, "seed": 0},
    "lad": {"ridge": 1.0},
    "boosting": {"trees": 10, "rate": 0.1, "leaves": 4, "min_leaf": 50},
}
METHODS["blend"] = {"shrink": 0.5, "members": [{"method": name, **METHODS[name]} for name in METHODS]}
methods = pytest.mark.parametrize("method", METHODS)


def put(pfs: Path, method: str, pid: str = "one", **changes: Any) -> None:
    content = {**COMMON, "method": method, **METHODS.get(method, {}), **changes}
    write_json(pfs / "params/global" / f"{pid}.json", content)


def lines_of(pfs: Path, slug: str, pid: str = "one", out: str = "backtest-global") -> list[dict[str, Any]]:
    text = (pfs / out / slug / f"global.{pid}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@methods
def test_what_all_coins_have_in_common_is_found(
    method: str, pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    for number in range(3):
        add_coin(f"coin{number}", returns(500, phi=-0.5, seed=number), price=10.0**number)
    put(pfs, method)
    backtest_global.run(pfs, pfs / "backtest-global")
    score.run(pfs, pfs / "score")
    for number in range(3):
        found = json.loads((pfs / f"score/coin{number}.json").read_text())["models"]["global.one"]
        assert found["global"] is True
        assert found["horizons"]["1"]["rel_mae"] < 0.97
        assert len(found["tails"]) == HORIZON


@methods
def test_no_look_ahead_prices_after_an_origin_leave_its_forecast_as_it_was(
    method: str, pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    days = returns(400, phi=-0.3, seed=1)
    changed = days.copy()
    changed[350:] = returns(50, seed=9) * 2
    made = {}
    for out, late in (("before", days), ("after", changed)):
        add_coin("coin", late)
        add_coin("other", returns(400, seed=2))
        put(pfs, method)
        backtest_global.run(pfs, pfs / out)
        made[out] = {(line["origin"], line["h"]): line for line in lines_of(pfs, "coin", out=out)}
    series = read_series(pfs / "standardise/coin")
    cut = series.dates[350]
    early = [key for key in made["before"] if key[0] <= cut]
    assert len(early) > 300
    for key in early:
        before, after = made["before"][key], made["after"][key]
        assert before["yhat"] == pytest.approx(after["yhat"], rel=1e-9)
    assert any(made["before"][key]["yhat"] != made["after"][key]["yhat"] for key in made["before"])


def test_every_observed_origin_of_a_coins_folds_is_forecast_once(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    add_coin("old", returns(600))
    series = add_coin("gappy", returns(500, seed=3), missing=[400])
    put(pfs, "lad")
    backtest_global.run(pfs, pfs / "backtest-global")
    origins = [line["origin"] for line in lines_of(pfs, "gappy") if line["h"] == 1]
    assert origins == sorted(set(origins))
    folds = json.loads((pfs / "split/old/folds.json").read_text())
    first = folds["refits"][0]["train_end"]
    observed = [day for day, seen in zip(series.dates, series.observed, strict=True) if seen]
    assert origins == [day for day in observed if day >= first]


def test_growing_by_one_grid_step_after_another_changes_no_forecast_that_is_still_tested(
    pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    put(pfs, "lad")
    before: dict[tuple[str, int], float] = {}
    for length in range(520, 661, 30):
        add_coin("a", returns(700)[:length])
        add_coin("b", returns(700, seed=3)[:length])
        backtest_global.run(pfs, pfs / str(length))
        after = {(line["origin"], line["h"]): line["yhat"] for line in lines_of(pfs, "a", out=str(length))}
        common = before.keys() & after.keys()
        assert len(common) >= 2 * 310 or not before
        assert {key: before[key] for key in common} == pytest.approx(
            {key: after[key] for key in common}, rel=1e-9
        )
        before = after


@methods
def test_a_stored_model_is_the_same_bytes_again_and_says_the_same(
    method: str, pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(400, phi=-0.3))
    put(pfs, method)
    train_global.run(pfs, pfs / "one")
    train_global.run(pfs, pfs / "two")
    for name in ("card.json", "model.joblib"):
        assert (pfs / "one/global.one" / name).read_bytes() == (pfs / "two/global.one" / name).read_bytes()
    card = json.loads((pfs / "one/global.one/card.json").read_text())
    assert (card["status"], card["coins"], card["train_end"]) == ("ok", 1, series.dates[-1])
    moves = log_moves(series, card, pfs / "one/global.one")
    model = joblib.load(pfs / "one/global.one/model.joblib")
    panel = make_panel([series], {"lags": 4})
    np.testing.assert_allclose(moves, recurse(model, panel.shown.lags[-1:], panel.scale[-1:])[0])


@methods
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_prices_in_other_units_are_forecast_in_those(
    method: str, scale: float, pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(400, phi=-0.3), price=100.0 * scale)
    put(pfs, method)
    train_global.run(pfs, pfs / "out")
    card = json.loads((pfs / "out/global.one/card.json").read_text())
    moves = log_moves(series, card, pfs / "out/global.one")
    assert np.isfinite(moves).all()
    # A model that knows returns only moves as far for a cheap coin as for a dear one.
    twin = add_coin("twin", returns(400, phi=-0.3), price=100.0)
    np.testing.assert_allclose(moves, log_moves(twin, card, pfs / "out/global.one"), atol=1e-9)


FITTED = {
    method: fit(
        np.random.default_rng(0).normal(size=(600, 4)),
        np.random.default_rng(1).normal(size=600),
        {"method": method, **parameters},
    )
    for method, parameters in METHODS.items()
}


@methods
@given(rows=st.lists(st.lists(st.floats(-LIMIT, LIMIT), min_size=4, max_size=4), min_size=1, max_size=3))
@settings(max_examples=25)
def test_a_path_of_any_model_is_a_recursion(method: str, rows: list[list[float]]) -> None:
    model, start, scale = FITTED[method], np.array(rows), np.full(len(rows), 0.05)
    path = recurse(model, start, scale)
    assert path.shape == (len(rows), HORIZON)
    assert np.isfinite(path).all()
    np.testing.assert_allclose(path[:, 0], np.clip(model.predict(start), -LIMIT, LIMIT) * scale, atol=1e-12)
    # The path from the second day on is that from the frame with the first day in it.
    fed = np.column_stack([start[:, 1:], path[:, 0] / scale])
    np.testing.assert_allclose(path[:, 1:] - path[:, :1], recurse(model, fed, scale)[:, :-1], atol=1e-9)
    # Whatever else is asked at the same time.
    np.testing.assert_allclose(recurse(model, start[:1], scale[:1])[0], path[0], atol=1e-9)


def test_the_kernel_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    frames, targets = random.normal(size=(700, 5)), random.normal(size=700)
    model = SVR(C=0.3, epsilon=0.1, gamma=0.1).fit(frames, targets)
    ours = Kernel(model.support_vectors_, model.dual_coef_[0], float(model.intercept_[0]), 0.1)
    np.testing.assert_allclose(ours.predict(frames), model.predict(frames), atol=1e-9)


def test_least_absolute_error_is_not_moved_by_a_few_great_days() -> None:
    random = np.random.default_rng(0)
    frames = random.normal(size=(2000, 3))
    targets = frames @ [0.0, 0.1, -0.3] + random.laplace(scale=0.2, size=2000)
    frames[::50] = 5.0
    targets[::50] = 5.0
    np.testing.assert_allclose(least_absolute(frames, targets, 1.0), [0.0, 0.1, -0.3], atol=0.06)


def test_a_blend_is_the_shrunk_mean() -> None:
    one, other = Linear(np.array([1.0, 0.0])), Linear(np.array([0.0, 3.0]))
    assert Blend([one, other], 0.5).predict(np.array([[2.0, 2.0]])).tolist() == [0.5 * (2 + 6) / 2]


@pytest.fixture
def two(add_coin: AddCoin, returns: MakeReturns) -> list[Series]:
    return [
        add_coin("dear", returns(100), price=1000.0),
        add_coin("cheap", [0.0] * 20 + [0.1] * 80, price=0.01),
    ]


@pytest.mark.parametrize(
    "condition, expected",
    [
        ("", lambda panel: np.ones(len(panel.at), dtype=bool)),
        ("slug = 'cheap'", lambda panel: panel.coin == 1),
        ("price > 100 AND age >= 50", lambda panel: (panel.coin == 0) & (panel.at >= 50)),
        ("NOT moved", lambda panel: (panel.coin == 1) & (panel.at <= 20)),
        ("date < DATE '2016-02-01'", lambda panel: panel.at < 31),
        ("volume > 0", lambda panel: np.zeros(len(panel.at), dtype=bool)),
        ("volume IS NULL", lambda panel: np.ones(len(panel.at), dtype=bool)),
    ],
)
def test_rows_are_chosen_in_sql(condition: str, expected: Callable[[Any], Array], two: list[Series]) -> None:
    panel = make_panel(two, {"lags": 4})
    np.testing.assert_array_equal(rows_where(panel, condition), expected(panel))


@pytest.mark.parametrize(
    "condition",
    ["prise > 1", "1; DROP TABLE panel", "slug IN (SELECT content FROM read_text('/etc/hostname'))"],
)
def test_a_condition_that_is_none_or_looks_elsewhere_is_refused(condition: str, two: list[Series]) -> None:
    with pytest.raises(BadInput, match="is no condition"):
        rows_where(make_panel(two, {"lags": 4}), condition)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"method": "prophet"}, "params/global/one.json: there is no method 'prophet'; known: svm, lad"),
        ({"method": "lad", "ridgge": 1.0}, "unknown parameter 'ridgge'"),
        ({"method": "blend", "members": []}, "'members' must be parameters of other methods, at least one"),
        (
            {"method": "blend", "members": [{"method": "svm"}]},
            "member 1: parameters 'C', 'epsilon', 'gamma', 'max_rows', 'seed' are missing",
        ),
        ({"method": "lad", "family": "svm"}, '"family" must be "global", not \'svm\''),
    ],
)
def test_wrong_parameters_are_refused_with_a_sentence(
    changes: dict[str, Any], sentence: str, pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    add_coin("coin", returns(100))
    put(pfs, **changes)
    with pytest.raises(BadInput) as caught:
        backtest_global.run(pfs, pfs / "out")
    assert sentence in str(caught.value)


def test_too_few_rows_is_an_answer(pfs: Path, add_coin: AddCoin, returns: MakeReturns) -> None:
    add_coin("coin", returns(60))
    put(pfs, "lad")
    backtest_global.run(pfs, pfs / "backtest-global")
    train_global.run(pfs, pfs / "train-global")
    told = json.loads((pfs / "backtest-global/coin/global.one.json").read_text())
    assert (told["status"], told["reason"]) == ("skipped", "few_residuals")
    card = json.loads((pfs / "train-global/global.one/card.json").read_text())
    assert (card["status"], card["reason"]) == ("skipped", "few_rows")
