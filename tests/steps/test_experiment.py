"""An experiment is one file: what is made of it, what is refused, and what a group of features is worth.

Read next: ../../steps/crypto/experiment.py, ../../steps/crypto/impact.py, ../acceptance/test_experiments.py.
"""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pachlet.step import BadInput
from steps.crypto import grid, rank, trial, trial_split
from steps.crypto.experiment import LEARNERS, read_plan, trials
from steps.crypto.feature_groups import GROUPS
from steps.crypto.formats import write_json
from steps.crypto.global_fit import FIELDS
from steps.crypto.impact import error_ratio, pairs
from steps.crypto.metrics import BLOCK_DAYS
from steps.crypto.series import Array, Series

AddCoin = Callable[..., Series]
MakeReturns = Callable[..., Array]

SHARED = {"lags": 3, "min_rows": 40, "refit_every": 2}
LAD = {"family": "global", "method": "lad", "ridge": 1.0}
RIDGE = {"family": "linear", "alpha": 10.0}


def experiment(*methods: Any, **more: Any) -> dict[str, Any]:
    return {"schema": "crypto.experiment/1", "shared": SHARED, "methods": list(methods), **more}


def test_each_value_is_tried_with_each_of_the_others() -> None:
    made = trials(experiment({**LAD, "ridge": [1, 100], "lags": [3, 5, 10]}, RIDGE), "x.json")
    assert len(made) == 2 * 3 + 1
    tried = {(each["ridge"], each["lags"]) for each in made.values() if each["family"] == "global"}
    assert tried == {(ridge, lags) for ridge in (1.0, 100.0) for lags in (3, 5, 10)}
    for path, each in made.items():
        assert path.startswith(f"{each['family']}/{'lad-' if each['family'] == 'global' else ''}")


def test_a_trial_is_named_by_what_it_says_and_by_nothing_else() -> None:
    groups = {"features": ["volume", "lags"]}
    one = trials(experiment({**LAD, **groups}, RIDGE), "one.json")
    other = trials(experiment({**LAD, "ridge": [1, 5], **groups}, split={"test_days": 90}), "other.json")
    assert len(set(one) & set(other)) == 1
    # What is said twice, or in another way, is the same: whole numbers, the order of groups, what is meant anyway.
    same = [
        {**LAD, "ridge": [1, 1.0], "features": [["lags", "volume"], ["volume", "lags"]], "label": "return"}
    ]
    assert set(trials(experiment(*same), "x.json")) == set(one) & set(other)
    assert trials(experiment({**RIDGE, "features": ["lags"]}), "x.json").keys() < one.keys()


def test_impact_adds_each_trial_without_each_of_its_groups() -> None:
    features = ["lags", "volume", "market"]
    plain = trials(experiment({**LAD, "features": features, "ridge": [1, 9]}, RIDGE), "x.json")
    made = trials(experiment({**LAD, "features": features, "ridge": [1, 9]}, RIDGE, impact=True), "x.json")
    assert (len(plain), len(made)) == (3, 3 + 2 * 3)
    models = {path: each for path, each in made.items() if each["family"] == "global"}
    found = list(pairs(models))
    assert sorted(group for _, group, _ in found) == sorted(2 * features)
    for model, group, without in found:
        left = models[without].get("features", ["lags"])
        assert sorted([*left, group]) == sorted(models[model]["features"])
        assert models[model]["ridge"] == models[without]["ridge"]


def test_an_explosion_is_refused_with_its_count_before_it_happens() -> None:
    values = list(range(1, 1001))
    many = experiment({**LAD, "ridge": values, "lags": values, "min_rows": values})
    with pytest.raises(BadInput) as caught:
        trials(many, "x.json")
    assert "x.json makes 1,000,000,000 trials, more than 200 (x.json, method 1 (global.lad): " in str(
        caught.value
    )
    assert "raise 'max_trials'" in str(caught.value)
    with pytest.raises(
        BadInput, match=r"x.json makes 6 trials, more than 5 \(x.json, with those without a group: 6\)"
    ):
        trials(
            experiment({**LAD, "ridge": [1, 2], "features": ["lags", "volume"]}, impact=True, max_trials=5),
            "x.json",
        )
    assert len(trials(experiment({**LAD, "ridge": values[:300]}, max_trials=300), "x.json")) == 300


@pytest.mark.parametrize(
    "content, sentence",
    [
        (experiment(), "x.json: 'methods' names none: there is nothing to try"),
        (experiment({**LAD, "ridge": []}), "method 1 (global.lad): 'ridge' is an empty list: there is nothing to try"),
        (experiment({**LAD, "features": []}), "'features' must name at least one group, and none twice"),
        (experiment({**LAD, "features": ["lgas"]}), "there is no feature group 'lgas'; known: lags, volatility"),
        (experiment({**RIDGE, "features": ["market"]}), "(linear): this model can't be shown 'market', only lags"),
        (experiment({"family": "prophet"}), "there is no family 'prophet' to experiment with; those that learn"),
        (experiment({"family": "naive", "lags": 1}), "method 1: there is no family 'naive' to experiment with"),
        (experiment({"family": "global", "method": "arima"}), "there is no method 'arima'; known: svm, lad"),
        (experiment({**LAD, "rigde": 1}), "unknown parameter 'rigde'; known: features, label, lags"),
        (experiment({"family": "linear"}), "method 1 (linear): parameter 'alpha' is missing"),
        (experiment({**RIDGE, "rows": 1}), "method 1 (linear): 'rows' must be of type str, not 1"),
        (experiment({**RIDGE, "rows": "prise > 1"}), "x.json: \"rows\": 'prise > 1' is no condition on a row: "),
        (experiment({**LAD, "label": "price"}), "there is no label 'price'; known: return, excess"),
        (experiment({**LAD, "lags": [3, "many"]}), "'lags' must be of type int, not 'many'"),
        (experiment({**LAD, "rows": "prise > 1"}), "x.json: \"rows\": 'prise > 1' is no condition on a row: "),
        (experiment({**LAD, "rows": ["", "COPY panel TO 'x'"]}), "is no condition"),
        (experiment({**LAD, "rows": "price > (SELECT avg(price) FROM panel)"}), "it holds a subquery"),
        (experiment(LAD, impact=True), "'impact' leaves out one group of 'features', and no trial has two"),
        (experiment(LAD, impact="yes"), "x.json: 'impact' must be of type bool, not 'yes'"),
        (experiment(LAD, max_trials=0), "'max_trials' must be from 1 to 10000, not 0"),
        (experiment(LAD, grid={}), "x.json: unknown parameter 'grid'; known: impact, max_trials, methods"),
        (experiment(3), "x.json, method 1 must be parameters of a model, not 3"),
        ({"schema": "crypto.experiment/1"}, "x.json: parameter 'methods' is missing"),
        (experiment(LAD, split={"test_days": 10}), "x.json, split: 'refit_days' must not be above 'test_days', 10"),
        (experiment(LAD, split={"days": 10}), "x.json, split: unknown parameter 'days'; known: min_train"),
        (experiment(LAD, split={"min_train": 0}), "x.json, split: 'min_train' must be above 0, not 0"),
        (experiment(LAD, split={"test_days": 1000000}), "x.json, split: 'test_days' must not be above 36500 days, not"),
        (experiment(LAD, split={"refit_days": 36501}), "'refit_days' must not be above 36500 days, not 36501"),
        (experiment({**LAD, "schema": "other/1"}), "(global.lad): the schema of parameters is 'crypto.params/1', not"),
        (experiment(LAD, shared={**SHARED, "schema": [1]}), "the schema of parameters is 'crypto.params/1', not 1"),
        ({"schema": "crypto.params/1"}, "x.json has schema 'crypto.params/1', but this step reads 'crypto.experiment"),
    ],
)  # fmt: skip
def test_a_bad_experiment_is_refused_with_a_sentence(content: Any, sentence: str, pfs: Path) -> None:
    write_json(pfs / "experiments/x.json", content)
    assert sentence in refusal_of(pfs, "x")


def refusal_of(pfs: Path, name: str) -> str:
    """Run the grid; return what is wrong with an experiment, which is all that there is of it, in rank's table too."""
    grid.run(pfs, pfs / "grid")
    [path] = (path for path in (pfs / "grid" / name).rglob("*") if path.is_file())
    reason = str(json.loads(path.read_text())["reason"])
    rank.run(pfs, pfs / "rank")
    with (pfs / "rank" / name / "leaderboard.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"model": "", "status": f"refused: {reason}"}]
    return reason


@pytest.mark.parametrize(
    "name, text, sentence",
    [
        ("x.json", "{", "x.json is not JSON"),
        ("x.json", '{"schema": NaN}', "x.json is not JSON (NaN is no number)"),
        ("x.json", "[" * 100_000, "x.json is not JSON"),
        ("a b.json", "{}", "experiments/a b.json: an experiment's name is of letters, digits, _, . and -"),
    ],
)
def test_what_is_no_experiment_at_all_is_refused(name: str, text: str, sentence: str, pfs: Path) -> None:
    (pfs / "experiments").mkdir(parents=True)
    (pfs / "experiments" / name).write_text(text)
    assert sentence in refusal_of(pfs, Path(name).stem)


def test_an_experiment_that_is_refused_is_in_no_other_ones_way(pfs: Path) -> None:
    write_json(pfs / "experiments/bad.json", experiment({**LAD, "rigde": 1}))
    write_json(pfs / "experiments/good.json", experiment(LAD))
    grid.run(pfs, pfs / "grid")
    assert len(list((pfs / "grid/good").glob("global/*.json"))) == 1
    assert (pfs / "grid/good/split.json").exists()
    assert [path.name for path in (pfs / "grid/bad").rglob("*.json")] == ["reason.json"]


def test_a_blends_members_are_named_by_what_they_say_too() -> None:
    blend = {"family": "global", "method": "blend", "shrink": 1}
    members = [[{"method": "lad", "ridge": 1}], [{"ridge": 1.0, "method": "lad"}]]
    nested = [
        [{"method": "blend", "shrink": value, "members": each}]
        for value, each in zip((1, 1.0), members, strict=True)
    ]
    assert len(trials(experiment({**blend, "members": members}), "x.json")) == 1
    assert len(trials(experiment({**blend, "members": nested}), "x.json")) == 1


def test_a_parameter_file_can_be_pasted_with_its_schema() -> None:
    pasted = trials(experiment({"schema": "crypto.params/1", **LAD}), "x.json")
    assert pasted == trials(experiment(LAD), "x.json")


WORDS = ["lags", "ridge", "alpha", "rows", "features", "label", "members", "method", "price > 1", *FIELDS]
words = st.sampled_from(WORDS)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words, st.text(max_size=5)
)
values = st.recursive(
    leaves,
    lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(words, each, max_size=3)),
    max_leaves=6,
)
method = st.builds(
    lambda known, more: {**known, **more},
    st.one_of(st.just(LAD), st.just(RIDGE), st.builds(lambda f: {"family": f}, st.sampled_from(LEARNERS))),
    st.dictionaries(words, values, max_size=3),
)
others = st.sampled_from(["shared", "split", "impact", "max_trials", "other"])
experiments = st.builds(
    lambda methods, more: {"schema": "crypto.experiment/1", "methods": methods, **more},
    st.one_of(st.lists(st.one_of(method, method, values), max_size=3), values),
    st.dictionaries(others, st.one_of(values, st.just(SHARED)), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(experiments)
def test_whatever_an_experiment_holds_it_is_expanded_or_refused_with_a_sentence(
    content: dict[str, Any],
) -> None:
    with contextlib.suppress(BadInput):
        made = trials(content, "x.json")
        read_plan(content, "x.json")
        assert made
        again = json.loads(json.dumps(made, allow_nan=False))
        # A trial is an experiment of its own, and comes out as it went in.
        for path, each in again.items():
            lists = {key: [each[key]] for key in ("features", "members") if key in each}
            fields = {key: value for key, value in each.items() if key != "schema"}
            alone = {"schema": "crypto.experiment/1", "methods": [{**fields, **lists}]}
            assert trials(alone, "x.json") == {path: each}


def try_all(pfs: Path, out: str = "rank") -> dict[str, list[dict[str, str]]]:
    """Run all stages of experiments; return the tables of experiment x."""
    for name in ("grid", "split", "backtest", "backtest-global", out):
        shutil.rmtree(pfs / name, ignore_errors=True)
    grid.run(pfs, pfs / "grid")
    trial_split.run(pfs, pfs / "split")
    for file in sorted((pfs / "grid").glob("*/*/*.json")):  # a datum each
        datum = pfs / "datum"
        shutil.rmtree(datum, ignore_errors=True)
        place = datum / file.relative_to(pfs)
        place.parent.mkdir(parents=True)
        shutil.copyfile(file, place)
        shutil.copytree(pfs / "split", datum / "split")
        trial.run(datum, pfs / ("backtest-global" if file.parent.name == "global" else "backtest"))
    rank.run(pfs, pfs / out)
    tables = {}
    for table in ("leaderboard", "impact"):
        with (pfs / out / "x" / f"{table}.csv").open() as file:
            tables[table] = list(csv.DictReader(file))
    return tables


@pytest.fixture
def weekly(pfs: Path, add_coin: AddCoin) -> None:
    """Coins with a good day each week, and a young one."""
    for number, days in enumerate((260, 240, 100)):
        noise = np.random.default_rng(number).normal(0, 0.02, days)
        add_coin(f"coin{number}", noise + np.where(np.arange(days) % 7 == 3, 0.05, -0.008))


def test_what_a_group_is_worth_is_found_and_ranked(weekly: None, pfs: Path) -> None:
    features = ["lags", "volatility", "calendar"]
    methods = ({**LAD, "features": features, "ridge": [1, 50]}, {**RIDGE, "features": features})
    shared = {**SHARED, "lags": 2}
    content = experiment(*methods, impact=True, shared=shared, split={"test_days": 120, "min_train": 150})
    write_json(pfs / "experiments/x.json", content)
    tables = try_all(pfs)
    board = tables["leaderboard"]
    assert len(board) == 3 + 3 * 3
    assert len({row["model"] for row in board}) == len(board)
    assert {row["status"] for row in board} == {"ok"}
    assert {row["coins_1d"] for row in board} == {"2"}  # the third is younger than min_train
    assert [float(row["rel_mae_1d"]) for row in board] == sorted(float(row["rel_mae_1d"]) for row in board)
    assert "calendar" in board[0]["features"]
    assert float(board[0]["low95_1d"]) < float(board[0]["rel_mae_1d"]) < float(board[0]["high95_1d"]) < 1
    assert (board[-1]["ridge"] == "") == (board[-1]["alpha"] != "")
    one_day = [row for row in tables["impact"] if row["h"] == "1"]
    assert sorted(row["group"] for row in one_day) == sorted(3 * features)
    for row in one_day:
        if row["group"] == "calendar":
            assert float(row["low95"]) > 1.02
        elif row["group"] == "volatility":
            assert float(row["low95"]) < 1.01  # it can't be told from nothing
    assert (pfs / "rank/x/impact.png").read_bytes().startswith(b"\x89PNG")
    before = {path.name: path.read_bytes() for path in (pfs / "rank/x").iterdir()}
    rank.run(pfs, pfs / "again")
    assert {path.name: path.read_bytes() for path in (pfs / "again/x").iterdir()} == before


def test_a_trial_that_brought_nothing_keeps_its_row(weekly: None, pfs: Path) -> None:
    write_json(pfs / "experiments/x.json", experiment({**RIDGE, "min_rows": [40, 5000]}, LAD))
    board = try_all(pfs)["leaderboard"]
    assert [row["status"] for row in board] == ["ok", "ok", "skipped: few_residuals"]
    assert board[-1]["rel_mae_1d"] == board[-1]["low95_1d"] == ""
    shutil.rmtree(pfs / "backtest-global")  # as if its datum had failed
    rank.run(pfs, pfs / "without")
    with (pfs / "without/x/leaderboard.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok", "missing", "skipped: few_residuals"]
    assert not (pfs / "without/x/impact.png").exists()


def test_where_no_coin_is_old_enough_the_table_says_so(weekly: None, pfs: Path) -> None:
    write_json(pfs / "experiments/x.json", experiment(RIDGE, LAD, split={"min_train": 300}))
    grid.run(pfs, pfs / "grid")
    trial_split.run(pfs, pfs / "split")  # writes nothing: no trial meets a coin
    rank.run(pfs, pfs / "rank")
    with (pfs / "rank/x/leaderboard.csv").open() as file:
        said = [row["status"] for row in csv.DictReader(file)]
    assert said == ["skipped: no coin is older than the experiment's min_train"] * 2


def test_an_experiment_of_which_nothing_has_run_is_a_table_of_what_is_missing(
    weekly: None, pfs: Path
) -> None:
    write_json(pfs / "experiments/x.json", experiment({**LAD, "features": ["lags", "volume"]}, impact=True))
    grid.run(pfs, pfs / "grid")
    trial_split.run(pfs, pfs / "split")
    rank.run(pfs, pfs / "rank")
    with (pfs / "rank/x/leaderboard.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["missing"] * 3
    with (pfs / "rank/x/impact.csv").open() as file:
        assert [row["rel_mae"] for row in csv.DictReader(file)] == [""] * 4


def test_a_trial_can_be_used_as_it_is_by_the_main_job(weekly: None, pfs: Path) -> None:
    from steps.crypto import backtest_global, train_global

    write_json(pfs / "experiments/x.json", experiment({**LAD, "features": list(GROUPS), "label": "excess"}))
    try_all(pfs)
    [file] = (pfs / "grid/x/global").iterdir()
    (pfs / "params/global").mkdir(parents=True)
    shutil.copyfile(file, pfs / "params/global" / file.name)
    for series in (pfs / "standardise").iterdir():
        shutil.copyfile(pfs / "split/x" / series.name / "folds.json", pfs / "folds.json")
        shutil.copytree(pfs / "split/x" / series.name, pfs / "split" / series.name, dirs_exist_ok=True)
    backtest_global.run(pfs, pfs / "main")
    for slug in ("coin0", "coin1", "coin2"):
        name = f"global.{file.stem}"
        lines = pfs / "backtest-global/x" / name / f"{slug}.jsonl"
        assert lines.read_bytes() == (pfs / "main" / slug / f"{name}.jsonl").read_bytes()
    train_global.run(pfs, pfs / "train")
    assert json.loads((pfs / f"train/global.{file.stem}/card.json").read_text())["status"] == "ok"


def blocks(errors: list[float], n: int = 10) -> dict[str, Any]:
    """The scores of one model at one horizon: blocks of so much error, where naive's is 10 each."""
    first = date(2017, 1, 1).toordinal() // BLOCK_DAYS
    days = [date.fromordinal((first + k) * BLOCK_DAYS).isoformat() for k in range(len(errors))]
    found = [(day, n, error, 10.0) for day, error in zip(days, errors, strict=True)]
    return {"horizons": {"1": {"blocks": found, "rel_mae": sum(errors) / (10 * len(errors))}}}


def test_a_cost_is_counted_in_each_coins_own_errors_on_the_days_of_both() -> None:
    cheap, dear = [9.0] * 9, [9000.0] * 9
    scores: list[dict[str, Any]] = [
        {"slug": "cheap", "models": {"whole": blocks(cheap), "less": blocks([11.0] * 9)}},
        {"slug": "dear", "models": {"whole": blocks(dear), "less": blocks(dear)}},
    ]
    for block in scores[1]["models"].values():
        rows = block["horizons"]["1"]["blocks"]
        rows[:] = [(day, n, error, 10000.0) for day, n, error, _ in rows]
    found = error_ratio(scores, "1", "less", "whole")
    assert (found.value, found.coins, found.days) == (pytest.approx((1.1 + 0.9) / 1.8), 2, 90)
    assert (found.low, found.high) == (found.value, found.value)  # each block is like the others
    # Blocks with other days in them are none of both; few blocks have no interval.
    scores[0]["models"]["less"] = blocks([11.0] * 9, n=9)
    found = error_ratio(scores, "1", "less", "whole")
    assert (found.value, found.coins) == (1.0, 1)
    short = [{"slug": "coin", "models": {"whole": blocks([9.0] * 4), "less": blocks([10.0] * 4)}}]
    found = error_ratio(short, "1", "less", "whole")
    assert (found.value, found.low, found.high) == (pytest.approx(10 / 9), None, None)
    assert error_ratio(short, "1", "nobody", "whole").value is None
