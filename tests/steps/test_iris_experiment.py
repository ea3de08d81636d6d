"""The iris experiment: a split that keeps doubles together, a grid without repeats, a choice by one standard error.

Read next: ../../steps/iris/select_model.py.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.step import BadInput
from steps.iris import evaluate, grid, select_model, split, trial
from steps.iris.flowers import Flower, read_flowers

DATA = Path(__file__).parents[2] / "data" / "iris"


def split_into(folder: Path, settings: dict[str, Any] | None = None) -> Path:
    """Run the split as its pipeline does; return its output."""
    pfs = folder / "pfs-split"
    (pfs / "training").mkdir(parents=True, exist_ok=True)
    (pfs / "settings").mkdir(exist_ok=True)
    shutil.copy(DATA / "iris.csv", pfs / "training")
    shutil.copy(DATA / "parameters" / "split.json", pfs / "settings")
    if settings is not None:
        (pfs / "settings" / "split.json").write_text(json.dumps(settings))
    split.run(pfs, folder / "split")
    return folder / "split"


def train_point(folder: Path, c: str, gamma: str | None = None) -> None:
    """Train one point into folder/model or, without a gamma, folder/linear."""
    pfs = folder / f"pfs-{c}-{gamma}"
    for name, value in (("c", c), ("gamma", gamma)):
        if value is not None:
            (pfs / name / name).mkdir(parents=True)
            (pfs / name / name / "value").write_text(f"{value}\n")
    shutil.copytree(folder / "split", pfs / "split")
    grid.run(pfs, folder / ("linear" if gamma is None else "model"))


def flowers(path: Path) -> list[Flower]:
    found, bad = read_flowers(path, labelled=True)
    assert bad == []
    return found


def test_the_two_sides_are_all_flowers_and_share_none(tmp_path: Path) -> None:
    out = split_into(tmp_path)
    train, test = flowers(out / "train.csv"), flowers(out / "test.csv")
    assert sorted([*train, *test], key=str) == sorted(flowers(DATA / "iris.csv"), key=str)
    assert not set(train) & set(test)
    assert {each.species for each in test} == {each.species for each in train}


def test_the_split_is_that_of_its_seed(tmp_path: Path) -> None:
    first, again = split_into(tmp_path / "a"), split_into(tmp_path / "b")
    other = {"folds": 5, "repeats": 4, "seed": 1, "test_fraction": 0.2}
    third = split_into(tmp_path / "c", other)
    for name in ("train.csv", "test.csv", "folds.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    assert (first / "test.csv").read_bytes() != (third / "test.csv").read_bytes()


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"seed": 0}, "split.json can't be used"),
        ([], "split.json can't be used"),
        ({"seed": 0, "test_fraction": 1.5, "folds": 5, "repeats": 1}, "test_fraction is between 0 and 1"),
        ({"seed": 0, "test_fraction": "0.2", "folds": 5, "repeats": 1}, "split.json can't be used"),
        (
            {"seed": 0, "test_fraction": 0.001, "folds": 5, "repeats": 1},
            "147 different flowers can't be split",
        ),
    ],
)
def test_settings_that_can_not_be_are_refused(tmp_path: Path, settings: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        split_into(tmp_path, settings)


@pytest.mark.parametrize(
    "value, said",
    [("many", "wanted one number"), ("-1", "above 0"), ("nan", "above 0"), ("", "one number")],
)
def test_a_parameter_that_is_no_number_is_named(tmp_path: Path, value: str, said: str) -> None:
    split_into(tmp_path)
    with pytest.raises(BadInput, match=f"c/value holds .*{said}"):
        train_point(tmp_path, value)


def test_a_linear_kernel_has_no_gamma(tmp_path: Path) -> None:
    split_into(tmp_path)
    train_point(tmp_path, "1")
    train_point(tmp_path, "1", "0.1")
    assert [path.name for path in (tmp_path / "linear").iterdir()] == ["linear_C1"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["rbf_C1_G0.1"]
    assert joblib.load(tmp_path / "linear" / "linear_C1" / "model.joblib").kernel == "linear"


def score(name: str, mean: float, se: float, c: float, gamma: float | None = None) -> dict[str, Any]:
    return {
        "point": name,
        "mean": mean,
        "se": se,
        "C": c,
        "gamma": gamma,
        "kernel": "rbf" if gamma else "linear",
    }


def test_the_simplest_of_those_near_the_best_is_chosen() -> None:
    scores = [
        score("best", 0.98, 0.01, 8, 0.1),
        score("near", 0.975, 0.01, 2),
        score("edge", 0.97, 0.01, 2, 0.1),
        score("simple", 0.96, 0.01, 0.1),
    ]
    choice = select_model.choose(scores)
    assert (choice["best"], choice["chosen"], choice["tied"], choice["of"]) == ("best", "near", 3, 4)
    assert choice["why"] == (
        "3 of 4 models are within one standard error (0.010) of the best, best (0.980); "
        "near (0.975) is the simplest of them"
    )


POINTS = st.builds(
    score,
    st.uuids().map(str),
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.sampled_from([0.1, 1, 10]),
    st.sampled_from([None, 0.1, 1]),
)


@given(st.lists(POINTS, min_size=1, unique_by=lambda each: (each["C"], each["gamma"])), st.randoms())
def test_the_choice_is_near_the_best_none_is_simpler_and_order_is_no_matter(
    scores: list[dict[str, Any]], order: Any
) -> None:
    choice = select_model.choose(scores)
    by_name = {each["point"]: each for each in scores}
    best, chosen = by_name[choice["best"]], by_name[choice["chosen"]]
    assert best["mean"] == max(each["mean"] for each in scores)
    assert chosen["mean"] >= best["mean"] - best["se"]
    for each in scores:
        if each["mean"] >= best["mean"] - best["se"]:
            assert select_model.complexity(chosen) <= select_model.complexity(each)
    order.shuffle(scores)
    assert select_model.choose(scores) == choice


def test_from_grid_to_picture(tmp_path: Path) -> None:
    split_into(tmp_path)
    for c in ("0.01", "1"):
        train_point(tmp_path, c)
        train_point(tmp_path, c, "0.1")
    select_model.run(tmp_path, tmp_path / "select")
    choice = json.loads((tmp_path / "select" / "choice.json").read_text())
    assert choice["of"] == 4
    with (tmp_path / "select" / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["point"] for row in rows if row["chosen"]] == [choice["chosen"]]
    assert "trained on 118 flowers" in (tmp_path / "select" / "model.txt").read_text()
    trial.run(tmp_path, tmp_path / "test")
    tried = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "test").iterdir()}
    assert set(tried) == {"rbf_C0.01_G0.1", "rbf_C1_G0.1"}
    evaluate.run(tmp_path, tmp_path / "evaluate")
    metrics = json.loads((tmp_path / "evaluate" / "metrics.json").read_text())
    assert metrics["n"] == sum(map(sum, metrics["confusion"])) == 32
    assert metrics["accuracy"] >= 0.9
    assert (tmp_path / "evaluate" / "experiment.png").read_bytes().startswith(b"\x89PNG")
    first = (tmp_path / "evaluate" / "experiment.png").read_bytes()
    evaluate.run(tmp_path, tmp_path / "evaluate")
    assert (tmp_path / "evaluate" / "experiment.png").read_bytes() == first


def test_no_model_to_choose_from_is_said(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(BadInput, match="no model to choose from"):
        select_model.run(tmp_path, tmp_path / "select")


def test_a_species_that_the_model_never_saw_is_said(tmp_path: Path) -> None:
    split_into(tmp_path)
    train_point(tmp_path, "1", "0.1")
    with (tmp_path / "split" / "test.csv").open("a") as file:
        file.write("5.0,3.0,1.0,0.2,Iris-nova\n")
    with pytest.raises(BadInput, match="never seen Iris-nova"):
        trial.run(tmp_path, tmp_path / "out")
