"""Name the species of each flower in an attributes file: one a line, in the order of the file.

The output has the name of the input without its suffix, as in the original example. Lines that are no flower
go to `<name>.errors` with their numbers, so that one bad line does not cost the others their answer.

Read next: train.py (which makes the model), flowers.py (how the file is read).
"""

from __future__ import annotations

from pathlib import Path

import joblib
from sklearn.svm import SVC

from pachlet.step import BadInput, main
from steps.iris.flowers import Flower, read_flowers


def run(inputs: Path, out: Path) -> None:
    """Answer each attributes file of one datum: one."""
    stored = inputs / "model" / "model.joblib"
    if not stored.is_file():
        raise BadInput("there is no model.joblib in the model repo: run the model pipeline first")
    model = joblib.load(stored)
    folder = inputs / "attributes"
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        flowers, bad = read_flowers(path, labelled=False)
        target = (out / path.relative_to(folder)).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        write_lines(target, predict(model, flowers))
        if bad:
            write_lines(
                target.with_name(f"{target.name}.errors"), [f"line {b.line}: {b.reason}" for b in bad]
            )


def predict(model: SVC, flowers: list[Flower]) -> list[str]:
    """Return the species of each flower; none for none."""
    if not flowers:
        return []
    return [str(species) for species in model.predict([flower.measurements for flower in flowers])]


def write_lines(path: Path, lines: list[str]) -> None:
    """Write lines that all end in LF."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(run, batching=True)
