"""Find how far to the right each cell stands: near its neighbours above and below, apart from those beside it.

Each row in turn gets the places that are nearest to what its cells wish for, with the order and the gaps kept
(least squares: cells that would overlap are pooled and stand around the mean of their wishes). Some rounds down
and up, and the rows agree.

Read next: boxes.py, svg.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pachlet.cli.graph.layers import Cell, Layers

_ROUNDS = 24
_SETTLE = 6  # the last rounds, in which a row looks both ways
_STRAIGHT = 8.0  # how much more it matters that an edge passes a row straight than that a node stands well

Places = dict[Cell, float]


def placed(layers: Layers, width: Callable[[Cell], float], gap: float) -> Places:
    """Return the middle of each cell; the leftmost edge of all is 0."""
    places: Places = {}
    for row in layers.rows:
        at = 0.0
        for cell in row:
            places[cell] = at + width(cell) / 2
            at += width(cell) + gap
    weights = {cell: 1.0 if layers.is_node(cell) else _STRAIGHT for cell in places}
    for turn in range(_ROUNDS):
        down = turn % 2 == 0
        for row in layers.rows if down else reversed(layers.rows):
            sides = (layers.above, layers.below)
            near = sides if turn >= _ROUNDS - _SETTLE else sides[0 if down else 1 :][:1]
            wishes = [_wish(cell, places, weights, near) for cell in row]
            _settle(row, wishes, weights, width, gap, places)
    left = min((places[cell] - width(cell) / 2 for cell in places), default=0.0)
    return {cell: place - left for cell, place in places.items()}


def _wish(
    cell: Cell, places: Places, weights: Places, near: Sequence[Mapping[Cell, Sequence[Cell]]]
) -> float:
    """Return where a cell would like to stand: amid its neighbours, nearest to those that are passed."""
    found = [(places[each], weights[each]) for side in near for each in side.get(cell, ())]
    whole = sum(weight for _, weight in found)
    return sum(place * weight for place, weight in found) / whole if whole else places[cell]


def _settle(
    row: Sequence[Cell],
    wishes: Sequence[float],
    weights: Places,
    width: Callable[[Cell], float],
    gap: float,
    places: Places,
) -> None:
    """Put the cells of a row as near to their wishes as their order and their gaps allow."""
    offset = 0.0
    offsets: list[float] = []
    pools: list[tuple[float, float, int]] = []  # where to, how much it matters, how many cells
    for number, (cell, wish) in enumerate(zip(row, wishes, strict=True)):
        offset += (width(row[number - 1]) + width(cell)) / 2 + gap if number else 0.0
        offsets.append(offset)
        pools.append((wish - offset, weights[cell], 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (place, weight, count), (other, more, further) = pools.pop(), pools.pop()
            mean = (place * weight + other * more) / (weight + more)
            pools.append((mean, weight + more, count + further))
    means = [place for place, _, count in pools for _ in range(count)]
    for cell, mean, offset in zip(row, means, offsets, strict=True):
        places[cell] = mean + offset
