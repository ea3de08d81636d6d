"""Read drawn shapes: a header, then area and perimeter a line, and the kind where it is known.

Read next: shapes_train.py.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from pachlet.step import BadInput

KINDS = ("square", "triangle")


@dataclass(frozen=True)
class Shape:
    """Area in square centimetres, perimeter in centimetres; the kind is empty where it is to be found out."""

    area: float
    perimeter: float
    kind: str = ""


def read_shapes(path: Path, *, labelled: bool) -> list[Shape]:
    """Read a file of shapes; a line that is none is named."""
    columns = ["area", "perimeter", "kind"][: 2 + labelled]
    with path.open(newline="", encoding="utf-8-sig", errors="backslashreplace") as file:
        rows = csv.DictReader(file)
        if rows.fieldnames != columns:
            raise BadInput(f"{path.name}: the first line is {rows.fieldnames}, wanted {','.join(columns)}")
        return [shape(path.name, number, row) for number, row in enumerate(rows, 2)]


def shape(name: str, line: int, row: dict[str, str]) -> Shape:
    """Turn one row into a shape."""
    try:
        numbers = [float(row["area"]), float(row["perimeter"])]
    except (TypeError, ValueError):
        raise BadInput(f"{name}, line {line}: area and perimeter are two numbers") from None
    kind = row.get("kind") or ""
    if not all(math.isfinite(each) and each > 0 for each in numbers):
        raise BadInput(f"{name}, line {line}: area and perimeter are above 0")
    if "kind" in row and kind not in KINDS:
        raise BadInput(f"{name}, line {line}: kind is {kind!r}, wanted {' or '.join(KINDS)}")
    return Shape(*numbers, kind)
