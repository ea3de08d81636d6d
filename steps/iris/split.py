"""Split the flowers into those that models are chosen on and those that the chosen one is tried on at the end.

Stratified by species, by a seed that is an input like any other, so the split is the same each time. Flowers with the
same measurements stand on one side: a model that has seen a flower is not tried on its double.

Read next: grid.py (which trains on one side), trial.py (which tries on the other).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sklearn.model_selection import train_test_split

from pachlet.step import BadInput, main
from steps.iris.flowers import Flower, write_flowers
from steps.iris.train import read_training


@dataclass(frozen=True)
class Settings:
    """How flowers are split; `folds` and `repeats` are of the cross-validation within the training side."""

    seed: int
    test_fraction: float
    folds: int
    repeats: int


def run(inputs: Path, out: Path) -> None:
    """Write /train.csv, /test.csv and, for who trains, /folds.json."""
    settings = read_settings(inputs / "settings" / "split.json")
    train, test = split(read_training(inputs / "training"), settings)
    out.mkdir(parents=True, exist_ok=True)
    write_flowers(out / "train.csv", train)
    write_flowers(out / "test.csv", test)
    folds = {"folds": settings.folds, "repeats": settings.repeats, "seed": settings.seed}
    (out / "folds.json").write_text(json.dumps(folds, sort_keys=True) + "\n")


def read_settings(path: Path) -> Settings:
    """Read and check the settings."""
    try:
        settings = Settings(**json.loads(path.read_text()))
        good = 0 < settings.test_fraction < 1 and settings.folds >= 2 and settings.repeats >= 1
    except (OSError, ValueError, TypeError) as problem:
        raise BadInput(f"split.json can't be used: {problem}") from None
    if not good:
        raise BadInput("split.json: test_fraction is between 0 and 1, folds are 2 or more, repeats 1 or more")
    return settings


def split(flowers: list[Flower], settings: Settings) -> tuple[list[Flower], list[Flower]]:
    """Return the two sides, each in the order of the input."""
    distinct = list(dict.fromkeys(flowers))
    try:
        _, tried = train_test_split(
            distinct,
            test_size=settings.test_fraction,
            random_state=settings.seed,
            stratify=[flower.species for flower in distinct],
        )
    except ValueError as problem:
        raise BadInput(f"{len(distinct)} different flowers can't be split so: {problem}") from None
    test = set(tried)
    return [each for each in flowers if each not in test], [each for each in flowers if each in test]


if __name__ == "__main__":
    main(run)
