"""Draw a graph in letters: boxes in rows, and lines between them.

Between two rows lie tracks. All links of one cell share one: they leave it in the middle, run along the track and
go down where they are read. A line that another one crosses is drawn behind it. Tracks are ordered so that no
line runs down over another: where one cell stands above another, the upper one's track comes first.

Read next: layers.py, places.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pachlet.cli.graph.layers import Cell, Layers, layered
from pachlet.cli.graph.model import Graph, Node
from pachlet.cli.graph.places import placed

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {1: "│", 2: "│", 3: "│", 4: "─", 8: "─", 12: "─", 5: "┘", 6: "┐", 7: "┤", 9: "└", 10: "┌", 11: "├"}
_LINES |= {13: "┴", 14: "┬", 15: "┼"}
_GAP = 2  # columns between boxes
_ASIDE = 2  # columns by which a cell is moved to stand straight below another
_LONGEST = 28  # letters of a name that is shown whole

Canvas = dict[tuple[int, int], str]


def boxes(graph: Graph, *, width: int = 0, height: int = 0) -> Iterator[str]:
    """Yield the lines of a drawing; `width` is that of a box, `height` the least space between rows."""
    layers = layered(graph)
    longest = max((max(len(each.name), len(each.state) + 2) for each in graph.nodes.values()), default=0)
    inner = width - 2 if width > 4 else min(longest, _LONGEST) + 2
    whole = inner + 2 + (inner + 1) % 2  # odd, so that a box has a middle
    columns = _columns(layers, whole)
    canvas: Canvas = {}
    top = 0
    for number, row in enumerate(layers.rows):
        tall = max(
            (4 if graph.nodes[cell[0]].is_pipeline else 3 for cell in row if layers.is_node(cell)), default=1
        )
        for cell in row:
            if layers.is_node(cell):
                _box(canvas, graph.nodes[cell[0]], columns[cell], top, whole, tall)
            else:
                for line in range(top, top + tall):
                    canvas[columns[cell], line] = "│"
        top += tall
        if number + 1 < len(layers.rows):
            top = _lines(canvas, layers, number, columns, top, height)
    right = max((column for column, _ in canvas), default=0)
    for line in range(top):
        yield "".join(canvas.get((column, line), " ") for column in range(right + 1)).rstrip()


def _columns(layers: Layers, whole: int) -> dict[Cell, int]:
    """Return the column of each cell's middle: whole numbers, with the gaps kept."""

    def width(cell: Cell) -> float:
        return float(whole) if layers.is_node(cell) else 1.0

    places = placed(layers, width, _GAP)
    columns: dict[Cell, int] = {}
    for row in layers.rows:
        free = 0
        for cell in row:
            half = int(width(cell)) // 2
            column = round(places[cell] - 0.5)
            # A line that goes down straight is worth a step aside.
            above = [columns[each] for each in layers.above.get(cell, ())]
            column = next(
                (each for each in above if len(above) == 1 and abs(each - column) <= _ASIDE), column
            )
            columns[cell] = max(column, free + half)
            free = columns[cell] + half + 1 + _GAP
    return columns


def _box(canvas: Canvas, node: Node, middle: int, top: int, whole: int, tall: int) -> None:
    left, right = middle - whole // 2, middle + whole // 2
    corners = "┌┐└┘" if node.is_pipeline else "╭╮╰╯"
    lines = [node.name, f"{_SIGNS[node.mood]} {node.state}"] if node.is_pipeline else [node.name]
    bottom = top + len(lines) + 1
    for column in range(left + 1, right):
        canvas[column, top] = canvas[column, bottom] = "─"
    for line, text in enumerate(lines, top + 1):
        canvas[left, line] = canvas[right, line] = "│"
        room = whole - 4
        shown = text if len(text) <= room else f"{text[: room - 1]}…"
        for column, letter in enumerate(shown.center(room), left + 2):
            canvas[column, line] = letter
    places = ((left, top), (right, top), (left, bottom), (right, bottom))
    canvas.update(zip(places, corners, strict=True))
    for line in range(bottom + 1, top + tall):  # a repo beside pipelines, which are taller
        canvas[middle, line] = "│"


_SIGNS = {"good": "✓", "busy": "●", "bad": "✗", "still": "‖", "": "·"}


def _lines(
    canvas: Canvas, layers: Layers, number: int, columns: Mapping[Cell, int], top: int, height: int
) -> int:
    """Draw the links below a row; return where the next row begins."""
    nets: dict[int, list[int]] = {}  # from which column to which
    for upper, lower in layers.links(number):
        nets.setdefault(columns[upper], []).append(columns[lower])
    tracks = _tracks(nets)
    deep = max([*tracks.values(), -1, height - 3]) + 1
    bottom = top + deep  # the line of the arrows
    masks: dict[tuple[int, int], int] = {}
    owners: dict[tuple[int, int], int] = {}

    def mark(column: int, line: int, mask: int, owner: int) -> None:
        place = column, line
        if owners.get(place, owner) != owner:
            # Of two lines that cross the one that runs down is in front; where both run down, they join.
            vertical = _UP | _DOWN
            if (masks[place] | mask) & vertical and not (masks[place] & mask & vertical):
                masks[place] = vertical
                return
        owners[place] = owner
        masks[place] = masks.get(place, 0) | mask

    for source, track in tracks.items():
        targets, line = nets[source], top + track
        for above in range(top, line):
            mark(source, above, _UP | _DOWN, source)
        ends = [source, *targets]
        for column in range(min(ends), max(ends) + 1):
            sides = (_LEFT if column > min(ends) else 0) | (_RIGHT if column < max(ends) else 0)
            ways = (_UP if column == source else 0) | (_DOWN if column in targets else 0)
            mark(column, line, sides | ways, source)
        for target in targets:
            for under in range(line + 1, bottom):
                mark(target, under, _UP | _DOWN, source)
    canvas.update({place: _LINES[mask] for place, mask in masks.items()})
    for _, lower in layers.links(number):
        canvas[columns[lower], bottom] = "▼" if layers.is_node(lower) else "│"
    return bottom + 1


def _tracks(nets: Mapping[int, list[int]]) -> dict[int, int]:
    """Return a track for each source column; nets that do not meet may share one."""
    tracks: dict[int, int] = {}
    waiting = dict(nets)
    level = 0
    while waiting:
        # A column that another one leaves from further down must not be run down over from above.
        free = [
            source
            for source, targets in waiting.items()
            if not any(target in waiting and target != source for target in targets)
        ]
        chosen: list[tuple[int, int]] = []
        for source in sorted(free or list(waiting)[:1]):
            low, high = min(source, *nets[source]), max(source, *nets[source])
            if all(high < left or low > right for left, right in chosen):
                chosen.append((low, high))
                tracks[source] = level
                del waiting[source]
        level += 1
    return tracks
