"""Drawings of pipelines: rows, places, letters and the picture."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pachlet.cli.graph.boxes import boxes
from pachlet.cli.graph.layers import layered
from pachlet.cli.graph.model import Graph, Node
from pachlet.cli.graph.places import placed
from pachlet.cli.graph.svg import svg

STATES = ["success", "failure", "running", "paused", "unheard-of"]
SVG = "{http://www.w3.org/2000/svg}"


def graph(*edges: str) -> Graph:
    """Make a graph of edges like `a b`; what reads something is a pipeline."""
    pairs = [tuple(edge.split()) for edge in edges]
    readers = {target for _, target in pairs}
    names = dict.fromkeys(name for pair in pairs for name in pair)
    nodes = {("p", name): Node(("p", name), name, "success" if name in readers else "") for name in names}
    return Graph(nodes, [(("p", a), ("p", b)) for a, b in pairs])


def test_a_diamond_with_a_long_edge() -> None:
    lines = list(boxes(graph("a b", "a c", "b d", "c d", "a d")))
    assert sum(line.count("▼") for line in lines) == 3
    assert sum(line.count("✓ success") for line in lines) == 3


def test_one_reads_the_other() -> None:
    assert list(boxes(graph("images edges"))) == [
        "╭───────────╮",
        "│   images  │",
        "╰───────────╯",
        "      │",
        "      ▼",
        "┌───────────┐",
        "│   edges   │",
        "│ ✓ success │",
        "└───────────┘",
    ]


def test_width_and_height_are_kept() -> None:
    lines = list(boxes(graph("a-repo-with-a-long-name edges"), width=11, height=5))
    assert lines[1] == "│ a-repo… │"
    assert lines.index("     ▼") - 2 >= 3


def test_a_source_stands_just_above_its_reader() -> None:
    layers = layered(graph("a b", "b c", "c d", "late d"))
    assert layers.depth["p", "late"] == layers.depth["p", "d"] - 1


def test_few_edges_cross() -> None:
    rows = layered(graph("x1 y1", "x2 y2", "x3 y3", "y3 z", "y1 z")).rows
    assert [key[1][1:] for key, _ in rows[0]] == [key[1][1:] for key, _ in rows[1]]


names = st.integers(0, 11).map(lambda number: f"n{number:02}")
graphs = st.lists(st.tuples(names, names), min_size=1, max_size=25).map(
    lambda pairs: sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
)


@given(graphs, st.lists(st.sampled_from(STATES), min_size=12, max_size=12))
def test_any_graph_is_drawn_whole(pairs: list[tuple[str, str]], states: list[str]) -> None:
    readers = {target for _, target in pairs}
    named = sorted({name for pair in pairs for name in pair})
    nodes = {
        ("p", name): Node(("p", name), name, state if name in readers else "", 'a "b" <c> &')
        for name, state in zip(named, states, strict=False)
    }
    whole = Graph(nodes, [(("p", a), ("p", b)) for a, b in pairs])
    drawn = "\n".join(boxes(whole))
    assert all(drawn.count(name) == 1 for name in named)
    assert drawn.count("▼") == len(readers)
    layers = layered(whole)
    assert all(layers.depth["p", a] < layers.depth["p", b] for a, b in pairs)
    places = placed(layers, lambda _: 10.0, 2.0)
    for row in layers.rows:
        assert all(places[right] - places[left] > 11.999 for left, right in pairwise(row))
    picture = ElementTree.fromstring("\n".join(svg(whole, 'of "p" & <q>')))
    texts = [each.text for each in picture.iter(f"{SVG}text")]
    assert sorted(text for text in texts if text in named) == named
    boxed = [each for each in picture.iter(f"{SVG}rect") if each.get("class") in ("card", "repo")]
    assert len(boxed) == len(named)
    assert all(float(each.get("x", "-1")) >= 0 for each in boxed)


def test_nothing_gives_a_picture_of_nothing() -> None:
    assert list(boxes(Graph({}, []))) == []
    assert ElementTree.fromstring("".join(svg(Graph({}, []), "none"))).tag == f"{SVG}svg"


def test_the_picture_tells_state_by_word_and_for_both_pages() -> None:
    picture = "\n".join(svg(graph("a b"), "t"))
    assert ">success</text>" in picture
    assert "prefers-color-scheme: dark" in picture
    assert "var(" not in picture  # which not every viewer knows
