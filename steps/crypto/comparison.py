"""Draw all models side by side at one horizon: a row each, best first, and four things to read along it.

    relative error    the median over coins with its bootstrap interval, beside the line where "as today" is; an arrow
                      with a number stands for what is far beyond, and an interval that goes on ends in a point
    better            the share of coins on which it is better than "as today"
    80 % interval     how often the outcome was in it, beside the promise, and how wide it is
    quarters          the relative error of each quarter of the year: blue is better than "as today", orange is worse

Blue and orange are told apart by whoever sees colours otherwise, and every cell has its number. As in plots.py, the
same numbers give the same bytes.

Read next: leaderboard.py and spread.py (the numbers), compare.py (who asks), canvas.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from steps.crypto.canvas import FAINT, GRID, INK, MUTED, save

BETTER, WORSE, MARK = "#2f6db3", "#d9822b", "#27496d"

_ROW = 0.31  # inches
_HEAD, _FOOT = 1.35, 0.75
_WIDTH = 12.4
_LONGEST = 24  # characters of a name
_NARROWEST = 0.02  # of relative error, to each side of 1
_FARTHEST = 0.12  # beyond it there is an arrow
_FULL = 0.03  # a quarter this much off has the full colour

Row = Mapping[str, Any]


def draw_comparison(models: Sequence[Row], horizon: int, coins: int, confidence: float, folder: Path) -> None:
    """Draw the rows of the leaderboard that have a score at a horizon to <folder>/<horizon>d.png."""
    shown = [row for row in models if str(horizon) in row["h"]]
    if shown:
        save(figure_of(shown, horizon, coins, confidence), folder / f"{horizon}d.png")


def figure_of(rows: Sequence[Row], horizon: int, coins: int, confidence: float) -> Figure:
    """Lay out the rows, each of which has a score at the horizon; `confidence` is the level of their intervals."""
    shown = sorted(rows, key=lambda row: (row["h"][str(horizon)]["rel_mae"], row["model"]))
    values = [row["h"][str(horizon)] for row in shown]
    height = _HEAD + _FOOT + _ROW * len(shown)
    figure = Figure(figsize=(_WIDTH, height), dpi=110, facecolor="white")
    bottom, tall = _FOOT / height, _ROW * len(shown) / height
    error, better, covered, time = (
        figure.add_axes((left, bottom, width, tall))
        for left, width in ((0.165, 0.265), (0.455, 0.11), (0.595, 0.165), (0.79, 0.195))
    )
    for axes in (error, better, covered, time):
        _prepare(axes, len(shown))
    _name_rows(error, shown)
    _draw_errors(error, values, confidence)
    _draw_shares(better, values)
    _draw_coverage(covered, values)
    _draw_quarters(time, values)
    days = "1 day" if horizon == 1 else f"{horizon} days"
    figure.text(0.012, 1 - 0.42 / height, f"{days} ahead", fontsize=16, fontweight="bold", color=INK)
    about = (
        f"{len(shown)} models on {coins} coins, on days that none of them had seen; “as today” (naive) is 1"
    )
    figure.text(0.012, 1 - 0.68 / height, about, fontsize=9.5, color=MUTED)
    return figure


def _prepare(axes: Axes, rows: int) -> None:
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, pad=5)
    for name, side in axes.spines.items():
        side.set_visible(name == "bottom")
        side.set_color(FAINT)
    for row in range(0, rows, 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f5f7f9", linewidth=0, zorder=0)


def _title(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=9)
    axes.set_xlabel(below, fontsize=8.5, color=MUTED, labelpad=6)


def _name_rows(axes: Axes, rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        name = row["model"]
        text = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        example = row["example"]
        axes.annotate(
            f"{text} (example)" if example else text, (0, place), xycoords=("axes fraction", "data"),
            xytext=(-10, 0), textcoords="offset points", ha="right", va="center", fontsize=9,
            color=MUTED if example else INK, annotation_clip=False,
        )  # fmt: skip


def _draw_errors(axes: Axes, values: Sequence[Row], confidence: float) -> None:
    reach = [abs(each["rel_mae"] - 1) for each in values if abs(each["rel_mae"] - 1) <= _FARTHEST]
    side = max(_NARROWEST, 1.25 * max(reach, default=0.0))
    low, high = 1 - side, 1 + side
    axes.set_xlim(low, high)
    axes.axvline(1, color=MUTED, linewidth=1.0, zorder=1)
    for place, each in enumerate(values):
        value = each["rel_mae"]
        color = MARK if value == 1 else BETTER if value < 1 else WORSE
        if not low <= value <= high:
            _point_beyond(axes, place, value, color)
            continue
        first, last = each["ci95"]
        if first is not None:
            _interval(axes, place, (first, last), (low, high), color)
        axes.plot(value, place, "o", color=color, markersize=6, zorder=3)
    axes.grid(axis="x", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5)
    below = f"median over coins, {100 * confidence:g} % by blocks of days; left is better"
    _title(axes, "Mean absolute error, naive = 1", below)


def _interval(
    axes: Axes, place: int, ends: tuple[float, float], shown: tuple[float, float], color: str
) -> None:
    """A bar from end to end; where it goes on beyond what is shown, it ends in an arrow."""
    drawn = [min(max(end, shown[0]), shown[1]) for end in ends]
    axes.plot(drawn, (place, place), color=color, linewidth=2.2, alpha=0.55, solid_capstyle="butt", zorder=2)
    for end, edge, marker in zip(ends, drawn, "<>", strict=True):
        if end != edge:
            axes.plot(edge, place, marker, color=color, markersize=7, zorder=3, clip_on=False)


def _point_beyond(axes: Axes, place: int, value: float, color: str) -> None:
    """A value that is far outside: an arrow to its side, with its number."""
    right = value > 1
    axes.annotate(
        f"{value:.2f}", (1.0 if right else 0.0, place), xycoords=("axes fraction", "data"),
        xytext=(-46 if right else 46, 0), textcoords="offset points", ha="right" if right else "left",
        va="center", fontsize=8.5, color=color, fontweight="bold",
        arrowprops={"arrowstyle": "-|>", "color": color, "shrinkA": 3, "shrinkB": 2, "linewidth": 1.2},
    )  # fmt: skip


def _draw_shares(axes: Axes, values: Sequence[Row]) -> None:
    axes.set_xlim(0, 1.36)
    axes.set_xticks([0, 0.5, 1.0], ["0", "50 %", "100 %"])
    axes.axvline(0.5, color=FAINT, linewidth=0.9, zorder=1)
    for place, each in enumerate(values):
        share = each["beats_naive"]
        if each["rel_mae"] == 1 and share == 0:  # naive itself, or who says the same
            axes.text(0.04, place, "–", va="center", fontsize=8.5, color=MUTED)
            continue
        color = BETTER if share > 0.5 else WORSE
        axes.barh(place, share, height=0.5, color=color, alpha=0.75, zorder=2)
        axes.text(share + 0.04, place, f"{100 * share:.0f} %", va="center", fontsize=8.5, color=INK, zorder=3)
    _title(axes, "Better than naive", "share of coins")


def _draw_coverage(axes: Axes, values: Sequence[Row]) -> None:
    known = [each["cov80"] for each in values if each["cov80"] is not None]
    low, high = min([*known, 0.74]), max([*known, 0.86])
    room = 0.06 * (high - low)
    axes.set_xlim(low - room, high + room + 1.3 * (high - low))  # to the right are the numbers
    axes.set_xticks([0.8], ["80 %"])
    axes.axvline(0.8, color=MUTED, linewidth=1.0, zorder=1)
    for place, each in enumerate(values):
        promised = each["cov80"] is not None
        if promised:
            axes.plot(each["cov80"], place, "D", color=MARK, markersize=5, zorder=3)
        axes.text(
            0.99, place, f"{100 * each['cov80']:.0f} %, {each['width']:.2f} wide" if promised else "none promised",
            va="center", ha="right", fontsize=8.5, color=MUTED, transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    _title(axes, "80 % intervals", "held; width in last prices")


def _draw_quarters(axes: Axes, values: Sequence[Row]) -> None:
    starts = [part["since"] for part in max((each["quarters"] for each in values), key=len)]
    axes.set_xlim(-0.5, len(starts) - 0.5)
    names = [f"{date.fromisoformat(day):%b %Y}" for day in starts]
    axes.set_xticks(range(len(starts)), names, fontsize=8)
    for place, each in enumerate(values):
        for column, part in enumerate(each["quarters"]):
            _draw_cell(axes, column, place, part["rel_mae"])
    _title(axes, "By quarter, against naive", "quarter of the tested days from")


def _draw_cell(axes: Axes, column: int, place: int, value: float | None) -> None:
    if value is None:
        axes.text(column, place, "–", ha="center", va="center", fontsize=8.5, color=MUTED)
        return
    off = value - 1
    strength = min(1.0, abs(off) / _FULL)
    color = BETTER if off < 0 else WORSE
    cell = Rectangle(
        (column - 0.47, place - 0.43), 0.94, 0.86, color=color, alpha=0.75 * strength, linewidth=0
    )
    axes.add_patch(cell)
    axes.text(
        column, place, change(off), ha="center", va="center", fontsize=8.5,
        color="white" if strength > 0.7 and off < 0 else INK,
    )  # fmt: skip


def change(off: float) -> str:
    """A relative error's distance from 1, as it is read: percent while it is small, times where it is not."""
    if off >= 1:
        return f"{1 + off:.1f} ×"
    text = f"{100 * off:+.1f} %".replace("-", "−")
    return "0 %" if text[1:] == "0.0 %" else text
