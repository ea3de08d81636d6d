"""Train one point of a grid: a support vector classifier with one C and one gamma, judged by cross-validation.

The point is two files, one value each, so a new value in the input repo trains only the points that it makes. A
linear kernel has no gamma: where there is no gamma among the inputs the kernel is linear, else radial. (The example
that this follows gave a gamma to a linear kernel, and trained each model seven times over.)

Read next: select_model.py (which takes one of them).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from pachlet.step import BadInput, main
from steps.iris.flowers import Flower
from steps.iris.train import read_training


@dataclass(frozen=True)
class Point:
    """A point of the grid; `gamma` is None for the linear kernel."""

    c: float
    gamma: float | None

    @property
    def kernel(self) -> str:
        """The kernel's name in scikit-learn."""
        return "linear" if self.gamma is None else "rbf"

    @property
    def name(self) -> str:
        """The name of its folder, such as `linear_C1` or `rbf_C1_G0.1`."""
        return f"{self.kernel}_C{self.c:g}" + ("" if self.gamma is None else f"_G{self.gamma:g}")

    def classifier(self) -> SVC:
        """An untrained classifier; it has no randomness."""
        return SVC(kernel=self.kernel, C=self.c, **({} if self.gamma is None else {"gamma": self.gamma}))


def run(inputs: Path, out: Path) -> None:
    """Write /POINT/model.joblib and /POINT/cv.json."""
    gamma = inputs / "gamma"
    point = Point(read_value(inputs / "c"), read_value(gamma) if gamma.exists() else None)
    flowers = read_training(inputs / "split", "train.csv")
    folds = json.loads((inputs / "split" / "folds.json").read_text())
    model = point.classifier().fit(*table(flowers))
    folder = out / point.name
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    (folder / "cv.json").write_text(json.dumps(judge(point, flowers, folds), sort_keys=True) + "\n")


def read_value(folder: Path) -> float:
    """Read the one positive number of the one file in a folder."""
    (path,) = (each for each in folder.rglob("*") if each.is_file())
    text = path.read_text(errors="backslashreplace").strip()
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{folder.name}/{path.name} holds {text[:40]!r}; wanted one number") from None
    if not (math.isfinite(value) and value > 0):
        raise BadInput(f"{folder.name}/{path.name} holds {text[:40]}; wanted a number above 0")
    return value


def table(flowers: list[Flower]) -> tuple[list[tuple[float, ...]], list[str]]:
    """Return measurements (n flowers, 4) in centimetres and species (n)."""
    return [flower.measurements for flower in flowers], [flower.species for flower in flowers]


def judge(point: Point, flowers: list[Flower], folds: dict[str, int]) -> dict[str, Any]:
    """Return accuracy by repeated stratified cross-validation: mean, and the standard error of that mean.

    The error is that of one cross-validation: the spread over its folds, averaged over the repeats, by the root of
    the number of folds (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 7.10). More
    repeats make the mean steadier, but they hold no more flowers, so they don't make the error smaller.
    """
    plan = RepeatedStratifiedKFold(
        n_splits=folds["folds"], n_repeats=folds["repeats"], random_state=folds["seed"]
    )
    try:
        scores = cross_val_score(point.classifier(), *table(flowers), cv=plan, error_score="raise")
    except ValueError as problem:
        raise BadInput(f"the cross-validation can't be done: {problem}") from None
    by_fold = scores.reshape(folds["repeats"], folds["folds"])
    spread = float(by_fold.std(axis=1, ddof=1).mean())
    return {
        "C": point.c,
        "folds": folds["folds"],
        "gamma": point.gamma,
        "kernel": point.kernel,
        "mean": round(float(scores.mean()), 6),
        "point": point.name,
        "repeats": folds["repeats"],
        "schema": "iris.cv/1",
        "se": round(spread / math.sqrt(folds["folds"]), 6),
        "std": round(float(scores.std(ddof=1)), 6),
    }


if __name__ == "__main__":
    main(run, batching=True)
