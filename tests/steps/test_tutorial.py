"""The toys of the tutorials: shapes are told apart, bad lines are named, a seed makes random numbers repeatable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pachlet.step import BadInput
from steps.tutorial import random_predictor, shapes_answer, shapes_train

DATA = Path(__file__).parents[2] / "data" / "shapes"


@pytest.fixture
def pfs(tmp_path: Path) -> Path:
    shutil.copytree(DATA, tmp_path / "shapes")
    return tmp_path


def answers(pfs: Path) -> list[str]:
    shapes_train.run(pfs, pfs / "model")
    shapes_answer.run(pfs, pfs / "out")
    return (pfs / "out" / "answers.csv").read_text().splitlines()[1:]


def test_every_drawn_shape_is_told_from_the_other_kind(pfs: Path) -> None:
    drawn = [line.split(",") for line in (DATA / "drawn.csv").read_text().splitlines()]
    (pfs / "shapes" / "unseen.csv").write_text("".join(f"{area},{around}\n" for area, around, _ in drawn))
    assert [line.split(",")[2] for line in answers(pfs)] == [kind for _, _, kind in drawn[1:]]


@pytest.mark.parametrize(
    "text, said",
    [
        ("area,perimeter\n1,x\n", "line 2: area and perimeter are two numbers"),
        ("area,perimeter\n4,8\n1\n", "line 3: area and perimeter are two numbers"),
        ("area,perimeter\n1,-4\n", "line 2: area and perimeter are above 0"),
        ("1,4\n", r"the first line is \['1', '4'\], wanted area,perimeter"),
        ("", "the first line is None"),
    ],
)
def test_a_line_that_is_no_shape_is_named(pfs: Path, text: str, said: str) -> None:
    (pfs / "shapes" / "unseen.csv").write_text(text)
    with pytest.raises(BadInput, match=f"unseen.csv.*{said}"):
        answers(pfs)


def test_one_kind_alone_can_not_be_learnt_from(pfs: Path) -> None:
    (pfs / "shapes" / "drawn.csv").write_text("area,perimeter,kind\n1,4,square\n")
    with pytest.raises(BadInput, match="both kinds: square and triangle"):
        answers(pfs)


def predictions(pfs: Path) -> list[float]:
    random_predictor.run(pfs, pfs / "out")
    return list(json.loads((pfs / "out" / "predictions.json").read_text()))


def test_random_numbers_can_be_made_again_only_from_a_seed(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "prices.json").write_text(json.dumps([1000.0] * 20))
    assert predictions(tmp_path) != predictions(tmp_path)
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "seed").write_text("42\n")
    assert predictions(tmp_path) == predictions(tmp_path)
    assert all(0 <= each <= 1000 for each in predictions(tmp_path))


def test_prices_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "prices.json").write_text('{"a": 1}')
    with pytest.raises(BadInput, match="list of numbers"):
        predictions(tmp_path)
