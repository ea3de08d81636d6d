"""Say of each unseen shape whether it is a square or a triangle.

Read next: shapes_train.py (where the model comes from).
"""

from __future__ import annotations

import json
from pathlib import Path

from pachlet.step import main
from steps.tutorial.shapes import KINDS, read_shapes


def run(inputs: Path, out: Path) -> None:
    """Write /answers.csv: area, perimeter, kind and f(x) of each shape of unseen.csv, in its order."""
    model = json.loads((inputs / "model" / "model.json").read_text())
    lines = ["area,perimeter,kind,f"]
    for shape in read_shapes(inputs / "shapes" / "unseen.csv", labelled=False):
        f = model["m"][0] * shape.area + model["m"][1] * shape.perimeter + model["b"]
        lines.append(f"{shape.area:g},{shape.perimeter:g},{KINDS[f > 0.5]},{f:.3f}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "answers.csv").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main(run)
