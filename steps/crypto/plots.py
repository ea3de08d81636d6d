"""Draw a coin's recent prices with the fan of its forecast, close up beside them, and all coins on one sheet.

Ten days ahead are a sliver beside half a year, so the close-up is where the models are told apart: each line's
end carries its name in its colour.

Read next: outlook.py (what is drawn), canvas.py (what on), report.py (who asks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import mean

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from steps.crypto.canvas import FAINT, GRID, INK, MUTED, save
from steps.crypto.outlook import Coin, Step
from steps.crypto.pricetext import price_text, tick_text

HISTORY, BAND, POINT, NOTICE = "#27496d", "#f4a259", "#c8511b", "#a3341b"
OTHERS = (
    "#12857a",
    "#8a4fa3",
    "#5f6b76",
    "#7d7a12",
    "#b03a72",
    "#2f7fc1",
)  # apart from those above, and in grey

History = tuple[tuple[date, float], ...]

_CLOSE_UP_PAST = 12  # days of the past that the close-up shows
_LABEL_GAP = 0.056  # of the close-up's height: a line of text
_LONGEST_NAME = 14  # characters of a model's name that fit beside the close-up
_LOG_FROM = 4.0  # a range this wide is drawn on a log scale, or its early days are a flat line


def draw_coin(coin: Coin, label: str, path: Path) -> None:
    """Draw one coin with a forecast to a PNG."""
    figure = Figure(figsize=(9.6, 4.8), dpi=100, facecolor="white")
    wide = figure.add_axes((0.075, 0.125, 0.495, 0.665))
    _draw_history(wide, coin.history)
    _draw_fan(wide, coin)
    _style(wide, coin.history, coin)
    close = figure.add_axes((0.64, 0.125, 0.195, 0.665))
    _draw_history(close, coin.history[-_CLOSE_UP_PAST:])
    _draw_fan(close, coin)
    _draw_others(close, coin)
    _style(close, coin.history[-_CLOSE_UP_PAST:], coin)
    _date_close_up(close, coin)
    _label_ends(close, coin)
    figure.text(0.075, 0.925, coin.name, fontsize=17, fontweight="bold", color=INK)
    figure.text(0.075, 0.865, _subtitle(coin), fontsize=9.5, color=MUTED)
    if label:
        figure.text(0.985, 0.93, label, fontsize=10, fontweight="bold", color=NOTICE, ha="right")
    save(figure, path)


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
    save(figure, path)


def _draw_history(axes: Axes, history: History) -> None:
    days, closes = zip(*history, strict=True)
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
    for name, color in other_colors(coin).items():
        steps = coin.others[name]
        days = [coin.history[-1][0], *(step.day for step in steps)]
        prices = [coin.history[-1][1], *(step.point for step in steps)]
        axes.plot(days, prices, color=color, linewidth=1.3, linestyle=(0, (3, 1.6)), zorder=4)


def other_colors(coin: Coin) -> dict[str, str]:
    """Give each other model its colour: the same for every coin for which the same models were fitted."""
    names = sorted({*coin.others, *(step.model for step in coin.steps)})
    return {name: OTHERS[place % len(OTHERS)] for place, name in enumerate(names) if name in coin.others}


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
    axes.set_title(shortened(coin.name, 18), loc="left", fontsize=8.2, color=INK, pad=2.5, fontweight="bold")
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


def _style(axes: Axes, history: History, coin: Coin) -> None:
    bottom, top = axes.dataLim.y0, axes.dataLim.y1
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
    axes.set_xlim(mdates.date2num(history[0][0]) - 1, mdates.date2num(coin.steps[-1].day) + 0.5)
    axes.grid(axis="y", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, pad=5)
    axes.xaxis.get_offset_text().set(color=MUTED, size=8.5)
    for name, side in axes.spines.items():
        side.set_visible(name == "bottom")
        side.set_color(FAINT)


def _date_close_up(axes: Axes, coin: Coin) -> None:
    """Date the close-up where it turns: its first day, the last price and the last forecast."""
    past = coin.history[-_CLOSE_UP_PAST:]
    days = dict.fromkeys((past[0][0], past[-1][0], coin.steps[-1].day))
    axes.set_xticks(mdates.date2num(list(days)), [f"{day:%b} {day.day}" for day in days])
    axes.set_title(
        f"next {coin.steps[-1].h} days, 80 % interval shaded", loc="left", fontsize=8, color=MUTED, pad=7
    )


def _label_ends(axes: Axes, coin: Coin) -> None:
    """Write the last day's numbers beside their lines, pushed apart where they would overlap."""
    end = coin.steps[-1]
    labels = [
        (end.lo80, price_text(end.lo80), MUTED, 9.0, "normal"),
        (end.point, price_text(end.point), POINT, 10.0, "bold"),
        (end.hi80, price_text(end.hi80), MUTED, 9.0, "normal"),
    ]
    for name, color in other_colors(coin).items():
        price = coin.others[name][-1].point
        labels.append((price, f"{shortened(name, _LONGEST_NAME)} {price_text(price)}", color, 7.5, "normal"))
    labels.sort(key=lambda label: label[:2])
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = [to_axes.transform((0, price))[1] for price, *_ in labels]
    heights = pushed_apart(ends, _LABEL_GAP)
    for at, height, (_, text, color, size, weight) in zip(ends, heights, labels, strict=True):
        axes.plot(
            (1.0, 1.045), (at, height), transform=axes.transAxes, color=color, linewidth=0.7, clip_on=False
        )
        axes.annotate(
            text, (1.045, height), xycoords="axes fraction", xytext=(3, 0), textcoords="offset points",
            va="center_baseline", fontsize=size, color=color, fontweight=weight, annotation_clip=False,
        )  # fmt: skip


def pushed_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move ascending heights as little as leaves `gap` between neighbours: groups that touch share the push."""
    groups: list[list[float]] = []  # of where each member would want the group's first to be
    for place, height in enumerate(heights):
        groups.append([height - place * gap])
        while len(groups) > 1 and mean(groups[-2]) >= mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    firsts = [mean(group) for group in groups for _ in group]
    return [first + place * gap for place, first in enumerate(firsts)]


def _subtitle(coin: Coin) -> str:
    # The choice makes this one name for all days; were it more, the reader should know.
    models = dict.fromkeys(step.model for step in coin.steps)
    parts = [
        f"{price_text(coin.history[-1][1])} on {coin.history[-1][0].isoformat()}",
        f"forecast for all {len(coin.steps)} days by {', '.join(models)}",
    ]
    if coin.others:
        parts.append("dashed: the other models")
    if coin.filled:
        parts.append(f"{coin.filled} {'day' if coin.filled == 1 else 'days'} without a quote")
    return "  ·  ".join(parts)


def shortened(name: str, longest: int) -> str:
    """Cut a name that is too long for its place, and show that it is cut."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
