"""Back-tests say what would have been said, score says how good it was: on made-up coins, and by hand.

Read next: ../../steps/crypto/backtest.py, ../../steps/crypto/metrics.py, conftest.py (the coins).
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pachlet.step import BadInput
from steps.crypto import backtest, score, split
from steps.crypto.formats import write_json
from steps.crypto.metrics import score as score_rows
from steps.crypto.outcomes import Outcomes, read_outcomes
from steps.crypto.series import Series

AddCoin = Callable[..., Series]
AddParams = Callable[..., None]
MakeReturns = Callable[..., Any]

ROOT = Path(__file__).parents[2]
FAMILIES = ("naive", "drift", "linear", "svm", "boosting")
families = pytest.mark.parametrize("family", FAMILIES)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def scores_of(pfs: Path, slug: str = "coin") -> dict[str, Any]:
    """Back-test and score what was added; returns the models of a coin's score file."""
    backtest.run(pfs, pfs / "backtest")
    score.run(pfs, pfs / "score")
    return dict(json.loads((pfs / f"score/{slug}.json").read_text())["models"])


def test_naive_says_as_today_and_every_origin_of_the_folds_is_there_once(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(500), missing=[450])
    add_params("naive", "last")
    backtest.run(pfs, pfs / "backtest")
    lines = lines_of(pfs / "backtest/coin/naive.last.jsonl")
    assert all(line["yhat"] == line["last"] for line in lines)
    folds = json.loads((pfs / "split/coin/folds.json").read_text())
    first = series.dates.index(folds["refits"][0]["test_start"])
    observed = [day for day, seen in zip(series.dates, series.observed, strict=True) if seen]
    for h in (1, 10):
        origins = [line["origin"] for line in lines if line["h"] == h]
        assert origins == [day for day in observed if day >= series.dates[first]]
    price = dict(zip(series.dates, np.exp(series.log_close), strict=True))
    for line in lines:
        if line["obs"]:
            assert line["actual"] == pytest.approx(price[line["target"]])
        else:
            assert line["actual"] is None
            assert line["target"] > series.dates[-1] or line["target"] == series.dates[450]
    unknown = [line["target"] for line in lines if not line["obs"] and line["h"] == 1]
    assert unknown[0] == series.dates[450]
    assert unknown[1] > series.dates[-1]


def test_autocorrelation_that_is_there_is_found_and_scored(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(900, phi=-0.5, seed=2))
    add_params("linear", "few", alpha=1.0, lags=3)
    found = scores_of(pfs)["linear.few"]["horizons"]["1"]
    assert found["rel_mae"] < 0.93
    assert found["dir"] > 0.6 > found["dir_majority"]
    assert sum(n for _, n, _, _ in found["blocks"]) == found["n"] > 300


@families
def test_nothing_is_found_in_a_random_walk_and_four_in_five_intervals_hold(
    family: str, pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(900))
    add_params(family, "one")
    found = scores_of(pfs)[f"{family}.one"]
    for horizon in ("1", "10"):
        assert found["horizons"][horizon]["rel_mae"] == pytest.approx(1.0, abs=0.1)
    assert found["horizons"]["1"]["cov80"] == pytest.approx(0.8, abs=0.06)
    assert set(found["tails"]) == {str(day) for day in range(1, 11)}
    assert all(tail["lo"] < 0 < tail["hi"] for tail in found["tails"].values())


def test_drift_goes_on_as_before(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    series = add_coin("coin", returns(300))
    add_params("drift", "all")
    add_params("drift", "month", days=30)
    backtest.run(pfs, pfs / "backtest")
    at = len(series) - 1
    for pid, days in (("all", at), ("month", 30)):
        last = lines_of(pfs / f"backtest/coin/drift.{pid}.jsonl")[-1]
        assert (last["origin"], last["h"]) == (series.dates[-1], 10)
        slope = (series.log_close[at] - series.log_close[at - days]) / days
        assert last["yhat"] == pytest.approx(series.last_price * math.exp(10 * slope))


@families
def test_same_inputs_give_the_same_bytes_whatever_came_before(
    family: str, pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_params(family, "one")
    add_coin("first", returns(380, seed=1))
    add_coin("second", returns(360, seed=2))
    backtest.run(pfs, pfs / "both")
    shutil.rmtree(pfs / "standardise/first")
    backtest.run(pfs, pfs / "alone")
    for name in (f"second/{family}.one.jsonl", f"second/{family}.one.json"):
        assert (pfs / "both" / name).read_bytes() == (pfs / "alone" / name).read_bytes()


def test_too_few_outcomes_is_an_answer_that_the_score_repeats(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(110))
    add_params("naive", "last")
    add_params("svm", "one")
    found = scores_of(pfs)
    assert not (pfs / "backtest/coin/svm.one.jsonl").exists()
    assert (found["svm.one"]["status"], found["svm.one"]["reason"]) == ("skipped", "few_residuals")
    assert found["svm.one"]["horizons"] == {}
    assert found["naive.last"]["status"] == "ok"


def test_a_coin_without_outcomes_at_some_day_ahead_is_skipped(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    # Quoted two days in nine: there is always an outcome one, nine or ten days on, and never one three days on.
    add_coin("rare", returns(400), missing=[day for day in range(401) if day % 9 > 1])
    add_params("naive", "last")
    assert scores_of(pfs, "rare")["naive.last"]["reason"] == "few_residuals"


@pytest.mark.parametrize("method", ["linear", "svr", "svr_poly", "svr_linear"])
def test_the_originals_recipes_are_scored_as_examples_and_lose(
    method: str, pfs: Path, add_coin: AddCoin, returns: MakeReturns, capsys: pytest.CaptureFixture[str]
) -> None:
    series = add_coin("coin", returns(500, seed=4))
    params = json.loads((ROOT / f"data/scores/params/seed/{method}.json").read_text())
    write_json(pfs / f"params/seed/{method}.json", params)
    found = scores_of(pfs)[f"seed.{method}"]
    assert found["example"] is True
    assert found["horizons"]["1"]["rel_mae"] > 1.5
    lines = lines_of(pfs / f"backtest/coin/seed.{method}.jsonl")
    days = [series.dates.index(line["origin"]) for line in lines if line["h"] == 1]
    assert set(np.diff(days)) == {params["every"]}
    assert all(line["yhat"] > 0 for line in lines)
    # Two of them do not converge, and what they say then is what is scored: the log tells.
    said = "fits had not converged after 10,000 iterations"
    assert (said in capsys.readouterr().out) == (method in ("svr_poly", "svr_linear"))


@pytest.mark.parametrize("more", [1, 30, 45, 77])
def test_who_speaks_seldom_speaks_on_the_same_days_when_the_window_slides(
    more: int, pfs: Path, add_coin: AddCoin, returns: MakeReturns
) -> None:
    params = json.loads((ROOT / "data/scores/params/seed/linear.json").read_text())
    write_json(pfs / "params/seed/linear.json", {**params, "every": 45})
    said = []
    for count in (500, 500 + more):
        # A day without a quote shifts nothing either.
        series = add_coin("coin", returns(500 + more, seed=4)[:count], missing=[300, 401])
        scores_of(pfs)
        lines = lines_of(pfs / "backtest/coin/seed.linear.jsonl")
        said.append({line["origin"]: line["yhat"] for line in lines if line["h"] == 1})
        shutil.rmtree(pfs / "backtest")
    early, late = said
    window = split.refit_days([date.fromisoformat(day) for day in series.dates])
    common = {day for day in early if day >= window[0].isoformat()}
    assert len(common) >= 5
    assert {day: early[day] for day in common} == {day: late[day] for day in late if day <= series.dates[500]}


def test_folds_of_an_older_form_are_refused_and_not_guessed_at(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    # They are made again where both stages are updated, as by `pachlet apply`; else the back-test says what is wrong.
    add_coin("coin", returns(200))
    add_params("linear", "one")
    path = pfs / "split/coin/folds.json"
    write_json(path, {**json.loads(path.read_text()), "schema": "crypto.folds/1"})
    with pytest.raises(BadInput, match=r"has schema 'crypto.folds/1', but this step reads"):
        backtest.run(pfs, pfs / "backtest")


def test_an_unknown_family_is_refused_by_name(
    pfs: Path, add_coin: AddCoin, add_params: AddParams, returns: MakeReturns
) -> None:
    add_coin("coin", returns(110))
    add_params("naive", "last")
    (pfs / "params/naive").rename(pfs / "params/prophet")
    with pytest.raises(BadInput, match="params/prophet: there is no such family; known: naive, drift"):
        backtest.run(pfs, pfs / "backtest")


def test_a_line_that_is_none_is_refused_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "coin" / "naive.last.jsonl"
    path.parent.mkdir()
    path.write_text('{"h": 1, "obs": 1}\n')
    with pytest.raises(
        BadInput, match=r"coin/naive.last.jsonl is not a back-test's file: KeyError\('last'\)"
    ):
        read_outcomes(path)


def outcomes(**columns: list[float]) -> Outcomes:
    """Four forecasts from a price of 100, but for what is given."""
    plain: dict[str, list[float]] = {
        "origin": [730000, 730001, 730009, 730010],
        "last": [100] * 4,
        "yhat": [110, 90, 100, 110],
        "lo80": [80, 80, 80, np.nan],
        "hi80": [120, 120, 120, np.nan],
        "actual": [120, 130, 100, 90],
    }
    return Outcomes(*(np.array({**plain, **columns}[name], dtype=float) for name in plain))


def test_scores_are_as_defined() -> None:
    found = score_rows(outcomes())
    assert found["n"] == 4
    assert found["mae"] == pytest.approx((10 + 40 + 0 + 20) / 4)
    assert found["rel_mae"] == pytest.approx(70 / 60)  # as-today is off by 20, 30, 0 and 10
    assert found["smape"] == pytest.approx(50 * (10 / 230 + 40 / 220 + 0 + 20 / 200))
    # The third has no direction; of the others one is right, and two went up.
    assert (found["dir"], found["dir_majority"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    # Of three promised intervals the second is missed by 10, which costs ten times that.
    assert (found["cov80"], found["cov80_n"]) == (pytest.approx(2 / 3), 3)
    assert found["width"] == pytest.approx(0.4)
    assert found["winkler"] == pytest.approx(0.4 + 100 / 100 / 3)


def test_errors_are_summed_over_ten_days_of_one_calendar() -> None:
    found = score_rows(outcomes())["blocks"]
    assert [(n, error, naive) for _, n, error, naive in found] == [(3, 50, 50), (1, 20, 10)]
    assert [day for day, *_ in found] == ["1999-09-03", "1999-09-13"]
    assert score_rows(outcomes(origin=[730000, 730001, 730009, 730019]))["blocks"][1][0] == "1999-09-13"


def test_what_can_not_be_said_is_null() -> None:
    still = score_rows(outcomes(yhat=[100] * 4, actual=[100] * 4, lo80=[np.nan] * 4, hi80=[np.nan] * 4))
    assert (still["rel_mae"], still["dir"], still["dir_majority"], still["cov80"]) == (None,) * 4
    assert score_rows(Outcomes(*([np.empty(0)] * 6))) == {"n": 0}
