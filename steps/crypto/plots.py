"""Draw a coin's recent prices with the fan of its forecast, and all coins on one sheet.

The same numbers give the same bytes: only the fonts that come with matplotlib are used, whatever the machine
has, and the PNG carries no software version and no time. Nothing touches matplotlib's global figure state, so
drawing a hundred coins leaves nothing behind.

Read next: outlook.py (what is drawn), report.py (who asks).
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

# Where a step runs there is no home folder for matplotlib to keep its font list in.
os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))

import matplotlib
import matplotlib.dates as mdates
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from steps.crypto.outlook import Coin, Step
from steps.crypto.pricetext import price_text, tick_text

INK, MUTED, FAINT, GRID = "#1d2733", "#6b7785", "#b4bdc7", "#e8ecf0"
HISTORY, BAND, POINT, NOTICE = "#27496d", "#f4a259", "#c8511b", "#a3341b"

_BUNDLED = Path(matplotlib.get_data_path()) / "fonts"
_LOG_FROM = 4.0  # a range this wide is drawn on a log scale, or its early days are a flat line

font_manager.fontManager.ttflist = [
    font for font in font_manager.fontManager.ttflist if Path(font.fname).is_relative_to(_BUNDLED)
]


def draw_coin(coin: Coin, label: str, path: Path) -> None:
    """Draw one coin with a forecast to a PNG."""
    figure = Figure(figsize=(9.6, 4.8), dpi=100, facecolor="white")
    axes = figure.add_axes((0.075, 0.125, 0.785, 0.69))
    _draw_history(axes, coin)
    _draw_fan(axes, coin)
    _draw_others(axes, coin)
    _style(axes, coin)
    _annotate_ends(axes, coin)
    figure.text(0.075, 0.925, coin.name, fontsize=17, fontweight="bold", color=INK)
    figure.text(0.075, 0.865, _subtitle(coin), fontsize=9.5, color=MUTED)
    if label:
        figure.text(0.985, 0.93, label, fontsize=10, fontweight="bold", color=NOTICE, ha="right")
    _save(figure, path)


def draw_overview(coins: Sequence[Coin], label: str, path: Path) -> None:
    """Draw every coin with a forecast on one sheet, each on its own scale."""
    columns = min(8, len(coins), max(3, math.ceil(math.sqrt(len(coins)))))
    rows = math.ceil(len(coins) / columns)
    width, height, head = 1.95 * columns + 0.5, 1.28 * rows + 1.05, 0.85
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    for place, coin in enumerate(coins):
        row, column = divmod(place, columns)
        left = (0.25 + column * 1.95 + 0.1) / width
        bottom = (height - head - (row + 1) * 1.28 + 0.1) / height
        axes = figure.add_axes((left, bottom, 1.75 / width, 0.86 / height))
        _draw_small(axes, coin)
    heading = f"{len(coins)} coins: the last 60 days and the next {coins[0].steps[-1].h}"
    figure.text(0.35 / width, 1 - 0.4 / height, heading, fontsize=15, fontweight="bold", color=INK)
    if label:
        figure.text(0.35 / width, 1 - 0.64 / height, label, fontsize=10, fontweight="bold", color=NOTICE)
    _save(figure, path)


def _draw_history(axes: Axes, coin: Coin) -> None:
    days, closes = zip(*coin.history, strict=True)
    axes.plot(days, closes, color=HISTORY, linewidth=1.5, solid_joinstyle="round", zorder=3)
    axes.plot(days[-1:], closes[-1:], "o", color=HISTORY, markersize=5, zorder=6)


def _draw_fan(axes: Axes, coin: Coin) -> None:
    days, points, lows, highs = _fan(coin)
    axes.fill_between(days, lows, highs, color=BAND, alpha=0.28, linewidth=0, zorder=1)
    for edge in (lows, highs):
        axes.plot(days, edge, color=BAND, linewidth=0.9, zorder=2)
    axes.plot(days, points, color=POINT, linewidth=2.0, solid_capstyle="round", zorder=5)
    axes.axvline(days[0], color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)


def _draw_others(axes: Axes, coin: Coin) -> None:
    for name in sorted(coin.others):
        steps = coin.others[name]
        days = [coin.history[-1][0], *(step.day for step in steps)]
        prices = [coin.history[-1][1], *(step.point for step in steps)]
        axes.plot(days, prices, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=4)


def _draw_small(axes: Axes, coin: Coin) -> None:
    days, points, lows, highs = _fan(coin)
    past, closes = zip(*coin.history[-60:], strict=True)
    axes.fill_between(days, lows, highs, color=BAND, alpha=0.35, linewidth=0)
    axes.plot(past, closes, color=HISTORY, linewidth=1.1)
    axes.plot(days, points, color=POINT, linewidth=1.4)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(NullLocator())
    for side in axes.spines.values():
        side.set_visible(False)
    axes.margins(x=0.01, y=0.08)
    name = coin.name if len(coin.name) <= 18 else f"{coin.name[:17]}…"
    axes.set_title(name, loc="left", fontsize=8.2, color=INK, pad=2.5, fontweight="bold")
    axes.set_title(price_text(coin.history[-1][1]), loc="right", fontsize=7.6, color=MUTED, pad=2.5)


def _fan(coin: Coin) -> tuple[list[date], list[float], list[float], list[float]]:
    """Start the fan at the last price, so that it opens from there."""
    day, price = coin.history[-1]
    steps: tuple[Step, ...] = coin.steps
    return (
        [day, *(step.day for step in steps)],
        [price, *(step.point for step in steps)],
        [price, *(step.lo80 for step in steps)],
        [price, *(step.hi80 for step in steps)],
    )


def _style(axes: Axes, coin: Coin) -> None:
    _, _, lows, highs = _fan(coin)
    closes = [price for _, price in coin.history]
    bottom, top = min(closes + lows), max(closes + highs)
    if top > _LOG_FROM * bottom:
        axes.set_yscale("log")
        subs = (1.0, 2.0, 5.0) if top < 300 * bottom else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=subs))
        axes.yaxis.set_minor_locator(NullLocator())
        room = (top / bottom) ** 0.06
        axes.set_ylim(bottom / room, top * room)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
        room = 0.07 * (top - bottom) or 0.05 * top
        axes.set_ylim(max(bottom - room, bottom * 0.5), top + room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    locator = mdates.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.set_xlim(mdates.date2num(coin.history[0][0]) - 1, mdates.date2num(coin.steps[-1].day) + 0.5)
    axes.grid(axis="y", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, pad=5)
    axes.xaxis.get_offset_text().set(color=MUTED, size=8.5)
    for name, side in axes.spines.items():
        side.set_visible(name == "bottom")
        side.set_color(FAINT)


def _annotate_ends(axes: Axes, coin: Coin) -> None:
    """Write the last day's numbers beside the fan, pushed apart where they would overlap."""
    end = coin.steps[-1]
    labels = [
        (end.lo80, price_text(end.lo80), MUTED, "normal"),
        (end.point, price_text(end.point), POINT, "bold"),
        (end.hi80, price_text(end.hi80), MUTED, "normal"),
    ]
    heights = [
        axes.transAxes.inverted().transform(axes.transData.transform((0, price)))[1] for price, *_ in labels
    ]
    low, middle, high = heights
    heights = [min(low, middle - 0.058), middle, max(high, middle + 0.058)]
    for height, (_, text, color, weight) in zip(heights, labels, strict=True):
        axes.annotate(
            text, (1.0, height), xycoords="axes fraction", xytext=(8, 0), textcoords="offset points",
            va="center", fontsize=9.5, color=color, fontweight=weight, annotation_clip=False,
        )  # fmt: skip
    axes.annotate(
        f"80 % interval\n{end.h} days ahead", (1.0, heights[2]), xycoords="axes fraction", xytext=(8, 9),
        textcoords="offset points", va="bottom", fontsize=7.5, color=MUTED, annotation_clip=False,
    )  # fmt: skip


def _subtitle(coin: Coin) -> str:
    # The choice makes this one name for all days; were it more, the reader should know.
    models = dict.fromkeys(step.model for step in coin.steps)
    parts = [
        f"{price_text(coin.history[-1][1])} on {coin.history[-1][0].isoformat()}",
        f"forecast for all {len(coin.steps)} days by {', '.join(models)}",
    ]
    if coin.others:
        parts.append(f"dashed: {', '.join(sorted(coin.others))}")
    if coin.filled:
        parts.append(f"{coin.filled} {'day' if coin.filled == 1 else 'days'} without a quote")
    return "  ·  ".join(parts)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
