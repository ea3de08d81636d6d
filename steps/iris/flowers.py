"""Read flowers: four measurements a line, with the species after them where it is known.

The file of 1936 has no header, so none is expected: a reader that takes the first line for one loses a flower
without a word. A line that is no flower is reported with its number, never dropped in silence.

Read next: train.py, infer.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

MEASUREMENTS = ("sepal length", "sepal width", "petal length", "petal width")


@dataclass(frozen=True)
class Flower:
    """Measurements in centimetres; the species is empty where it is to be found out."""

    measurements: tuple[float, ...]
    species: str = ""


@dataclass(frozen=True)
class BadLine:
    """A line that is no flower."""

    line: int
    reason: str


def read_flowers(path: Path, *, labelled: bool) -> tuple[list[Flower], list[BadLine]]:
    """Read a file's flowers and the lines that are none, both in its order; blank lines are neither."""
    flowers: list[Flower] = []
    bad: list[BadLine] = []
    text = path.read_bytes().decode("utf-8-sig", errors="backslashreplace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                flowers.append(parse_flower(line, labelled=labelled))
            except ValueError as error:
                bad.append(BadLine(number, str(error)))
    return flowers, bad


def parse_flower(line: str, *, labelled: bool) -> Flower:
    """Parse one line; a ValueError's text says what is wrong with it."""
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    expected = len(MEASUREMENTS) + labelled
    if len(cells) != expected:
        raise ValueError(f"{len(cells)} values where {expected} are expected")
    numbers = []
    for name, cell in zip(MEASUREMENTS, cells, strict=False):
        try:
            number = float(cell)
        except ValueError:
            raise ValueError(f"{name} {cell[:40]!r} is no number") from None
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} {cell[:40]!r} is no length")
        numbers.append(number)
    species = cells[-1] if labelled else ""
    if labelled and not species:
        raise ValueError("the species is missing")
    return Flower(tuple(numbers), species)


def write_flowers(path: Path, flowers: list[Flower]) -> None:
    """Write labelled flowers as `read_flowers` reads them."""
    lines = [",".join([*map(repr, flower.measurements), flower.species]) for flower in flowers]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
