"""How sure a row of the leaderboard is, whether it held all year, and the picture of it: readable, and the same bytes.

Read next: ../../steps/crypto/spread.py, ../../steps/crypto/comparison.py, test_compare.py (the verdicts).
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

from steps.crypto.comparison import change, draw_comparison, figure_of
from steps.crypto.spread import parts, spreads
from tests.steps.test_compare import POLICY, errors

ALL = np.array([True] * 6)


def test_an_interval_is_around_the_median_and_as_wide_as_the_days_differ() -> None:
    found = spreads(errors({"quiet": 0.02, "loud": 0.02}, coins=6, noise=0.01), ALL, 1, POLICY)
    low, high = found["quiet"]["ci95"]
    assert low < 0.98 < high
    assert high - low < 0.02
    made = errors({"loud": 0.02}, coins=6, noise=0.2)
    first, last = spreads(made, ALL, 1, POLICY)["loud"]["ci95"]
    assert last - first > 3 * (high - low)
    assert spreads(made, ALL, 1, POLICY)["naive.last"]["ci95"] == [1.0, 1.0]


def test_ten_days_ahead_longer_blocks_are_drawn() -> None:
    # Errors that go on for two blocks: drawn one by one they look surer than they are.
    made = errors({"m": 0.0}, coins=6, noise=0.0)
    made.error[:, 1] = made.naive[:, 1] * (1 + 0.2 * np.repeat([1, -1] * 9, 2))
    widths = [np.diff(spreads(made, ALL, h, POLICY)["m"]["ci95"])[0] for h in (1, 10)]
    assert widths[1] > 1.2 * widths[0]


def test_a_quarter_that_was_better_is_told() -> None:
    made = errors({"m": 0.0}, coins=6, noise=0.0)
    made.error[:, 1, 9:18] *= 0.9
    quarters = spreads(made, ALL, 1, POLICY)["m"]["quarters"]
    assert [part["rel_mae"] for part in quarters] == pytest.approx([1, 0.9, 1, 1])
    assert [part["since"] for part in quarters] == [made.days[k] for k in (0, 9, 18, 27)]


def test_coins_that_do_not_count_and_models_that_said_nothing_are_left_out() -> None:
    made = errors({"m": 0.0, "silent": 0.0}, coins=6, noise=0.0)
    made.error[5, 1] *= 9
    for sums in (made.error, made.naive, made.n):
        sums[:, 2] = 0
    found = spreads(made, np.array([False] * 5 + [True]), 1, POLICY)
    assert found["m"]["ci95"] == pytest.approx([9, 9])
    assert "silent" not in found


def test_days_without_a_forecast_are_no_number() -> None:
    made = errors({"m": 0.0}, coins=6, noise=0.0)
    for sums in (made.error, made.naive, made.n):
        sums[:, 1, :30] = 0
    found = spreads(made, ALL, 1, POLICY)["m"]
    assert [part["rel_mae"] for part in found["quarters"]] == [None, None, None, pytest.approx(1)]


@given(st.integers(0, 60))
def test_quarters_hold_each_block_once(count: int) -> None:
    cut = parts(count)
    assert [block for first, end in cut for block in range(first, end)] == list(range(count))
    assert len(cut) <= 4


def row(model: str, value: float, **changes: Any) -> dict[str, Any]:
    days = ("2016-09-21", "2016-12-20", "2017-03-30", "2017-06-28")
    quarters = [{"since": day, "rel_mae": value} for day in days]
    found = {"rel_mae": value, "ci95": [value * 0.99, value * 1.01], "beats_naive": 0.4, "cov80": 0.78}
    values = {**found, "width": 0.25, "quarters": quarters, **changes}
    return {"model": model, "example": model.startswith("seed"), "h": {"1": values}}


ROWS = [
    row("seed.svr_linear", 23.1, beats_naive=0.0),
    row("global.blend", 0.9947, beats_naive=1.0),
    row("a-trial-of-an-experiment-with-a-long-name", 1.04),
    row("naive.last", 1.0, ci95=[1.0, 1.0], beats_naive=0.0),
    row("seed.lstm", 5.0, cov80=None, width=None, ci95=[None, None]),
    row("drift.all", 1.004, cov80=0.42),
    row("sure", 0.4, beats_naive=0.99),
]


def test_a_picture_tells_the_level_of_its_intervals() -> None:
    _, found = texts_of(ROWS)
    assert "median over coins, 90 % by blocks of days; left is better" in found


def texts_of(rows: list[dict[str, Any]]) -> tuple[Bbox, dict[str, list[Bbox]]]:
    """Where each text lies in the picture of some rows, and the picture's frame."""
    figure = figure_of(rows, 1, 82, 0.9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found: dict[str, list[Bbox]] = {}
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text")):
        if text.get_text() and text.get_visible():
            found.setdefault(text.get_text(), []).append(text.get_window_extent(canvas.get_renderer()))
    return figure.bbox, found


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ROWS * 6], ids=["a few", "one", "many"])
def test_no_text_lies_on_another_or_leaves_the_picture(rows: list[dict[str, Any]]) -> None:
    frame, found = texts_of(rows)
    boxes = [(text, box) for text, places in found.items() for box in places if box.width > 1]
    for text, box in boxes:
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1, text
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1, text
    for (one, first), (other, second) in combinations(boxes, 2):
        overlap = Bbox.intersection(first, second)
        assert overlap is None or overlap.width * overlap.height < 1, f"{one} lies on {other}"


def test_what_is_far_beyond_is_told_as_a_number_and_examples_are_marked() -> None:
    _, found = texts_of(ROWS)
    assert {"23.10", "0.40", "seed.lstm (example)", "none promised", "1 day ahead"} <= set(found)
    assert "a-trial-of-an-experimen…" in found


def test_an_interval_that_goes_on_ends_in_a_point_to_that_side() -> None:
    rows = [
        row("both", 1.01, ci95=[0.5, 2.0]),
        row("left", 1.01, ci95=[0.5, 1.02]),
        row("right", 1.01, ci95=[0.99, 2.0]),
        row("within", 1.01),
        row("wide", 1.1),
    ]
    axes = figure_of(rows, 1, 82, 0.9).axes[0]
    found: dict[int, str] = {}
    for line in axes.get_lines():
        if line.get_marker() in ("<", ">"):
            found[int(line.get_ydata()[0])] = found.get(int(line.get_ydata()[0]), "") + line.get_marker()
            assert line.get_xdata()[0] in axes.get_xlim()
    assert found == {0: "<>", 1: "<", 2: ">"}


def test_a_change_is_read_in_percent_or_in_times() -> None:
    said = [change(off) for off in (0.0, -0.0001, -0.008, 0.031, 1.5)]
    assert said == ["0 %", "0 %", "−0.8 %", "+3.1 %", "2.5 ×"]


def test_the_same_numbers_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("one", "two"):
        draw_comparison(ROWS, 1, 82, 0.95, tmp_path / name)
        draw_comparison(ROWS, 10, 82, 0.95, tmp_path / name)  # nobody has a score there
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["1d.png"]
    assert (tmp_path / "one/1d.png").read_bytes() == (tmp_path / "two/1d.png").read_bytes()
