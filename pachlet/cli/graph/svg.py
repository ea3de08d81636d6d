"""Draw a graph as a picture: an SVG that stands alone, on a light page and on a dark one.

State is told by a word and a sign, and by colour only besides. Each node says in a tooltip what it is about.

Read next: layers.py, places.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from pachlet.cli.graph.layers import Cell, Layers, layered
from pachlet.cli.graph.model import Graph, Node
from pachlet.cli.graph.places import Places, placed

_MARGIN = 28
_GAP = 28  # between nodes of a row
_ROW = 112  # from one row's top to the next
_TALL = 56  # of a pipeline
_SHORT = 38  # of a repo
_LEAST = 116  # columns of a node
_LETTER = 7.6  # a guess at a letter's width, as no font can be measured here
_PASS = 18  # what an edge takes where it passes a row
_CORNER = 10

_FONT = """system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"""
_LIGHT = {
    "page": "#ffffff",
    "ink": "#1d2433",
    "line": "#a9b4c6",
    "card": "#ffffff",
    "edge": "#cdd5e2",
    "repo": "#eef2f8",
    "good": "#17803d",
    "busy": "#1d5fd1",
    "bad": "#c4232b",
    "still": "#6b7280",
    "none": "#5b6578",
}
_DARK = {
    "page": "#11151c",
    "ink": "#e8ecf3",
    "line": "#56637a",
    "card": "#1a202b",
    "edge": "#3a465a",
    "repo": "#222c3d",
    "good": "#4cc771",
    "busy": "#6ea8ff",
    "bad": "#ff7a7f",
    "still": "#a3abb9",
    "none": "#9aa5b8",
}
_MOODS = ("good", "busy", "bad", "still", "none")


def _style() -> str:
    """Return the style sheet; no variables, which not every viewer of pictures knows."""
    fixed = (
        "text { text-anchor: middle; }",
        ".name { font-size: 13.5px; font-weight: 600; }",
        ".word { font-size: 11.5px; }",
        ".link { fill: none; stroke-width: 1.6; }",
        ".sign { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }",
        ".card, .repo { stroke-width: 1.2; }",
    )
    dark = " ".join(_colours(_DARK))
    return "\n".join([*fixed, *_colours(_LIGHT), f"@media (prefers-color-scheme: dark) {{ {dark} }}"])


def _colours(of: Mapping[str, str]) -> Iterator[str]:
    yield f".page {{ fill: {of['page']}; }}"
    yield f".link {{ stroke: {of['line']}; }}"
    yield f".tip {{ fill: {of['line']}; }}"
    yield f".card {{ fill: {of['card']}; stroke: {of['edge']}; }}"
    yield f".repo {{ fill: {of['repo']}; stroke: {of['edge']}; }}"
    yield f".name {{ fill: {of['ink']}; }}"
    for mood in _MOODS:
        yield f".word.{mood} {{ fill: {of[mood]}; }}"
        yield f".sign.{mood} {{ stroke: {of[mood]}; }}"


def svg(graph: Graph, title: str) -> Iterator[str]:
    """Yield the lines of a picture."""
    layers = layered(graph)
    widths = {cell: _width(graph, layers, cell) for row in layers.rows for cell in row}
    places = placed(layers, widths.__getitem__, _GAP)
    right = max((places[cell] + widths[cell] / 2 for cell in places), default=0)
    wide, tall = right + 2 * _MARGIN, max(len(layers.rows) - 1, 0) * _ROW + _TALL + 2 * _MARGIN
    size = f'width="{wide:.0f}" height="{tall:.0f}" viewBox="0 0 {wide:.0f} {tall:.0f}"'
    head = f'{size} font-family="{_FONT}" role="img" aria-label={quoteattr(title)}'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {head}>'
    yield f"<title>{escape(title)}</title>"
    yield f"<style>\n{_style()}\n</style>"
    yield '<rect class="page" width="100%" height="100%"/>'
    for number in range(len(layers.rows) - 1):
        for upper, lower in layers.links(number):
            yield _link(graph, layers, places, upper, lower)
    for cell in sorted(places, key=lambda cell: (cell[1], places[cell])):
        if layers.is_node(cell):
            yield from _node(graph.nodes[cell[0]], places[cell] + _MARGIN, _top(graph, cell), widths[cell])
    yield "</svg>"


def _width(graph: Graph, layers: Layers, cell: Cell) -> float:
    if not layers.is_node(cell):
        return _PASS
    node = graph.nodes[cell[0]]
    return max(len(node.name) * _LETTER + 32, len(node.state) * 6.2 + 48, _LEAST)


def _height(node: Node) -> int:
    return _TALL if node.is_pipeline else _SHORT


def _top(graph: Graph, cell: Cell) -> float:
    """Return the top of a node, which stands in the middle of its row."""
    return _MARGIN + cell[1] * _ROW + (_TALL - _height(graph.nodes[cell[0]])) / 2


def _link(graph: Graph, layers: Layers, places: Places, upper: Cell, lower: Cell) -> str:
    """Draw a link as a curve that leaves and arrives straight; where an edge passes a row, it goes straight on."""
    start, end = places[upper] + _MARGIN, places[lower] + _MARGIN
    top = float(_MARGIN + upper[1] * _ROW + _TALL)
    if layers.is_node(upper):
        top = _top(graph, upper) + _height(graph.nodes[upper[0]])
    arrives = layers.is_node(lower)
    bottom = _top(graph, lower) - 6 if arrives else _MARGIN + lower[1] * _ROW
    pull = max((bottom - top) * 0.55, 12)
    path = f"M{start:.1f} {top:.1f}C{start:.1f} {top + pull:.1f} {end:.1f} {bottom - pull:.1f} {end:.1f} {bottom:.1f}"
    if not arrives:
        return f'<path class="link" d="{path}v{_TALL}"/>'
    drawn = f'<path class="link" d="{path}"/>'
    tip = f"M{end - 4.5:.1f} {bottom - 3:.1f}h9l-4.5 8.5z"
    return drawn + f'<path class="tip" d="{tip}"/>'


_SIGNS = {
    "good": "M-4 0.5l3 3 5.5-6.5",
    "bad": "M-3.5-3.5l7 7m0-7l-7 7",
    "still": "M-2.5-4v8m5-8v8",
    "busy": "M-4 0a4 4 0 1 0 4-4",
    "": "M-3 0h6",
}


def _node(node: Node, middle: float, top: float, width: float) -> Iterator[str]:
    tall = _height(node)
    shape = "card" if node.is_pipeline else "repo"
    corner = _CORNER if node.is_pipeline else tall / 2
    yield "<g>"
    yield f"<title>{escape(_about(node))}</title>"
    box = f'x="{middle - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{tall}" rx="{corner:.0f}"'
    yield f'<rect class="{shape}" {box}/>'
    line = top + (23 if node.is_pipeline else tall / 2 + 4.8)
    yield f'<text class="name" x="{middle:.1f}" y="{line:.1f}">{escape(node.name)}</text>'
    if node.is_pipeline:
        yield from _state(node, middle, top + 41)
    yield "</g>"


def _state(node: Node, middle: float, line: float) -> Iterator[str]:
    mood = node.mood or "none"
    shift = len(node.state) * 3.1
    sign = f'transform="translate({middle - shift - 4:.1f} {line - 4:.1f})" d="{_SIGNS[node.mood]}"'
    yield f'<path class="sign {mood}" {sign}/>'
    word = f'x="{middle + 7:.1f}" y="{line:.1f}"'
    yield f'<text class="word {mood}" {word}>{escape(node.state)}</text>'


def _about(node: Node) -> str:
    kind = "pipeline" if node.is_pipeline else "repo"
    told = f"{kind} {'/'.join(node.key)}"
    told += f": {node.state}" if node.state else ""
    return f"{told}\n{node.about}" if node.about else told
