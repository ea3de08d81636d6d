"""Train the classifier of the iris example: a support vector machine with a linear kernel and C = 1.

A linear kernel has no gamma; the original's grid over both tried the same model seven times for each C. The
model is kept twice: model.joblib for infer.py and model.txt for people.

Read next: infer.py (which uses the model), flowers.py (how the file is read).
"""

from __future__ import annotations

from pathlib import Path

import joblib
from sklearn.svm import SVC

from pachlet.step import BadInput, main
from steps.iris.flowers import MEASUREMENTS, Flower, read_flowers


def run(inputs: Path, out: Path) -> None:
    """Train on every file of the training repo together."""
    flowers = read_training(inputs / "training")
    model = fit(flowers)
    out.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, out / "model.joblib")
    (out / "model.txt").write_text(describe(model, flowers), encoding="utf-8", newline="\n")


def read_training(folder: Path, pattern: str = "*") -> list[Flower]:
    """Read all flowers, in the order of the files' names; a line that is none stops the training."""
    flowers: list[Flower] = []
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        found, bad = read_flowers(path, labelled=True)
        if bad:
            more = f" ({len(bad) - 1} more lines like it)" if len(bad) > 1 else ""
            raise BadInput(
                f"{path.name}, line {bad[0].line}: {bad[0].reason}{more}; correct the file and put it again"
            )
        flowers += found
    species = sorted({flower.species for flower in flowers})
    if len(species) < 2:
        raise BadInput(
            f"a classifier needs flowers of two species or more, the training repo has {species or 'none'}"
        )
    return flowers


def fit(flowers: list[Flower]) -> SVC:
    """Fit the classifier; it has no randomness, so the same flowers give the same model."""
    model = SVC(kernel="linear", C=1.0)
    model.fit([flower.measurements for flower in flowers], [flower.species for flower in flowers])
    return model


def describe(model: SVC, flowers: list[Flower]) -> str:
    """Say what the model is, in the words of a person who would ask."""
    lines = [
        "support vector classifier, linear kernel, C = 1",
        f"trained on {len(flowers)} flowers: {', '.join(MEASUREMENTS)}",
    ]
    for species, support in zip(model.classes_, model.n_support_, strict=True):
        count = sum(flower.species == species for flower in flowers)
        lines.append(f"{species}: {count} flowers, {support} of them support vectors")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(run)
