"""The iris example: no flower is lost, the README's answers come out, a bad line costs only itself.

Read next: ../../steps/iris/train.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

from pachlet.step import BadInput
from steps.iris import infer, train
from steps.iris.flowers import parse_flower, read_flowers

DATA = Path(__file__).parents[2] / "data" / "iris"
FLOWER = "5.1,3.5,1.4,0.2"


def train_into(tmp_path: Path, name: str = "model") -> Path:
    training = tmp_path / "pfs" / "training"
    training.mkdir(parents=True, exist_ok=True)
    shutil.copy(DATA / "iris.csv", training)
    out = tmp_path / "pfs" / name
    train.run(tmp_path / "pfs", out)
    return out


def infer_from(tmp_path: Path, files: dict[str, bytes]) -> Path:
    train_into(tmp_path)
    attributes = tmp_path / "pfs" / "attributes"
    attributes.mkdir()
    for name, content in files.items():
        (attributes / name).write_bytes(content)
    out = tmp_path / "out"
    infer.run(tmp_path / "pfs", out)
    return out


def test_no_flower_is_taken_for_a_header() -> None:
    flowers, bad = read_flowers(DATA / "iris.csv", labelled=True)
    assert (len(flowers), bad) == (150, [])
    assert flowers[0].measurements == (5.1, 3.5, 1.4, 0.2)
    assert {f.species for f in flowers} == {"Iris-setosa", "Iris-versicolor", "Iris-virginica"}


def test_published_answers_are_reproduced(tmp_path: Path) -> None:
    out = infer_from(tmp_path, {name: (DATA / "test" / name).read_bytes() for name in ("1.csv", "2.csv")})
    assert sorted(path.name for path in out.iterdir()) == ["1", "2"]
    assert (out / "1").read_text() == "Iris-virginica\n"
    species = ["versicolor", "virginica", "virginica", "virginica", "setosa", "setosa"]
    assert (out / "2").read_text() == "".join(f"Iris-{name}\n" for name in species)


def test_model_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = train_into(tmp_path, "a"), train_into(tmp_path, "b")
    for name in ("model.joblib", "model.txt"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert "150 flowers" in (first / "model.txt").read_text()


def test_accuracy_across_folds_is_as_measured() -> None:
    flowers, _ = read_flowers(DATA / "iris.csv", labelled=True)
    model = SVC(kernel="linear", C=1.0)
    scores = cross_val_score(model, [f.measurements for f in flowers], [f.species for f in flowers], cv=5)
    assert scores.mean() >= 0.96


def test_bad_line_costs_only_itself(tmp_path: Path) -> None:
    content = f"{FLOWER}\r\n\r\n5.1,3.5\n5.1,x,1.4,0.2\n{FLOWER},Iris-setosa\nnan,1,1,1\n{FLOWER}".encode()
    out = infer_from(tmp_path, {"mixed.csv": content, "empty.csv": b"", "noise.csv": b"\xff\x00\n"})
    assert (out / "mixed").read_text() == "Iris-setosa\n" * 2
    assert (out / "mixed.errors").read_text().splitlines() == [
        "line 3: 2 values where 4 are expected",
        "line 4: sepal width 'x' is no number",
        "line 5: 5 values where 4 are expected",
        "line 6: sepal length 'nan' is no length",
    ]
    assert (out / "empty").read_text() == (out / "noise").read_text() == ""
    assert (out / "noise.errors").exists()
    assert not (out / "empty.errors").exists()


@pytest.mark.parametrize(
    "content, sentence",
    [
        (f"{FLOWER},Iris-setosa\n{FLOWER}\n", "bad.csv, line 2: 4 values where 5 are expected"),
        (f"{FLOWER},Iris-setosa\n", "two species or more"),
        ("", "two species or more"),
        (f"{FLOWER},\n", "species is missing"),
    ],
)
def test_training_refuses_bad_files_with_a_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "bad.csv").write_text(content)
    with pytest.raises(BadInput, match=sentence):
        train.run(tmp_path, tmp_path / "out")


def test_inference_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run the model pipeline first"):
        infer.run(tmp_path, tmp_path / "out")


def test_quoted_cells_and_spaces_are_read() -> None:
    assert parse_flower('"5.1", 3.5 ,1.4,0.2, "Iris-setosa"', labelled=True).species == "Iris-setosa"
