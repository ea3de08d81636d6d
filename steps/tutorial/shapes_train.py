"""Learn to tell squares from triangles by area and perimeter: f(x) = m x + b, above one half it is a triangle.

m and b are those that make the squared error on the drawn shapes smallest, with 1 for a triangle and 0 for a square.

Read next: shapes_answer.py (which uses them), shapes.py (the file).
"""

from __future__ import annotations

import json
from pathlib import Path

from sklearn.linear_model import LinearRegression

from pachlet.step import BadInput, main
from steps.tutorial.shapes import KINDS, read_shapes


def run(inputs: Path, out: Path) -> None:
    """Write /model.json: m (for area and perimeter) and b."""
    shapes = read_shapes(inputs / "shapes" / "drawn.csv", labelled=True)
    if {shape.kind for shape in shapes} != set(KINDS):
        raise BadInput(f"drawn.csv needs shapes of both kinds: {' and '.join(KINDS)}")
    model = LinearRegression()
    model.fit([(shape.area, shape.perimeter) for shape in shapes], [KINDS.index(s.kind) for s in shapes])
    found = {"b": round(float(model.intercept_), 9), "m": [round(float(each), 9) for each in model.coef_]}
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.json").write_text(json.dumps(found, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(run)
