"""Put nodes into rows, so that every edge leads down, and order the rows so that few edges cross.

A node stands one row below the lowest of those that it reads; what reads nothing stands just above its first
reader. An edge over several rows passes each of them at a place of its own, which all edges of one node share.
The order is found by sweeps: each row is sorted by where its neighbours stand, and of all that was seen the one
with the fewest crossings stays.

Read next: places.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pachlet.cli.graph.model import Graph, Key

_SWEEPS = 12
_MANY = 3000  # links; beyond, crossings are not counted

Cell = tuple[Key, int]
"""A node in its row, or a place where its edges pass a lower one."""
Row = list[Cell]


@dataclass
class Layers:
    """Rows of cells, and the links between neighbouring rows."""

    rows: list[Row]
    depth: Mapping[Key, int]
    below: dict[Cell, list[Cell]] = field(default_factory=lambda: defaultdict(list))
    above: dict[Cell, list[Cell]] = field(default_factory=lambda: defaultdict(list))

    def is_node(self, cell: Cell) -> bool:
        """Tell whether a cell is a node, and not a place that is passed."""
        return self.depth[cell[0]] == cell[1]

    def links(self, row: int) -> Iterator[tuple[Cell, Cell]]:
        """Yield the links from a row to the next."""
        for upper in self.rows[row]:
            for lower in self.below[upper]:
                yield upper, lower


def layered(graph: Graph) -> Layers:
    """Return a graph in rows."""
    depth = _depths(graph)
    layers = Layers([[] for _ in range(max(depth.values(), default=-1) + 1)], depth)
    for key in graph.nodes:
        layers.rows[depth[key]].append((key, depth[key]))
    lowest: dict[Key, int] = {}
    for source, target in graph.edges:
        for row in range(lowest.get(source, depth[source]) + 1, depth[target]):
            layers.rows[row].append((source, row))
            _link(layers, (source, row - 1), (source, row))
        lowest[source] = max(lowest.get(source, depth[source]), depth[target] - 1)
        _link(layers, (source, depth[target] - 1), (target, depth[target]))
    _order(layers)
    return layers


def _link(layers: Layers, upper: Cell, lower: Cell) -> None:
    if lower not in layers.below[upper]:
        layers.below[upper].append(lower)
        layers.above[lower].append(upper)


def _depths(graph: Graph) -> dict[Key, int]:
    sources: dict[Key, list[Key]] = {key: [] for key in graph.nodes}
    readers: dict[Key, list[Key]] = {key: [] for key in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
        readers[source].append(target)
    depth: dict[Key, int] = {}
    waiting = {key: len(above) for key, above in sources.items()}
    ready = [key for key, count in waiting.items() if not count]
    while ready:
        key = ready.pop()
        depth[key] = max((depth[each] + 1 for each in sources[key]), default=0)
        for reader in readers[key]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    for key in graph.nodes:
        depth.setdefault(key, 0)  # a loop, which no server lets be made
        if not sources[key] and readers[key]:
            depth[key] = max(min(depth.get(each, 1) for each in readers[key]) - 1, 0)
    return depth


def _order(layers: Layers) -> None:
    """Order the rows so that few links cross."""
    best, fewest = [list(row) for row in layers.rows], _crossings(layers)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        numbers = range(1, len(layers.rows)) if down else range(len(layers.rows) - 2, -1, -1)
        for number in numbers:
            near = layers.rows[number - 1 if down else number + 1]
            _sort(layers.rows[number], near, layers.above if down else layers.below)
        if (count := _crossings(layers)) < fewest:
            best, fewest = [list(row) for row in layers.rows], count
    layers.rows = best


def _sort(row: Row, near: Row, neighbours: Mapping[Cell, Sequence[Cell]]) -> None:
    """Sort a row by the middle of where each cell's neighbours stand; without any, a cell keeps its place."""
    places = {cell: number for number, cell in enumerate(near)}
    middles = {}
    for number, cell in enumerate(row):
        found = [places[each] for each in neighbours.get(cell, ())]
        middles[cell] = sum(found) / len(found) if found else number * len(near) / len(row)
    row.sort(key=lambda cell: middles[cell])


def _crossings(layers: Layers) -> int:
    count = 0
    for number in range(len(layers.rows) - 1):
        places = {cell: place for place, cell in enumerate(layers.rows[number + 1])}
        ends = [(at, places[low]) for at, up in enumerate(layers.rows[number]) for low in layers.below[up]]
        if len(ends) > _MANY:
            return 0
        count += sum(
            (a < c and b > d) or (a > c and b < d)
            for index, (a, b) in enumerate(ends)
            for c, d in ends[index + 1 :]
        )
    return count
