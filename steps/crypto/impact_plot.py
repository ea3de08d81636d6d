"""Draw what leaving out each group of features costs: a dot with its interval, beside the line of no difference.

Read next: impact.py (the numbers), rank.py (who asks), canvas.py (what it is drawn on).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from steps.crypto.canvas import GRID, INK, MUTED, save
from steps.crypto.impact import DRAWS, Cost

COLOURS = ("#27496d", "#c8511b", "#12857a", "#8a4fa3", "#7d7a12", "#b03a72")
ROW, SPREAD = 0.62, 0.5  # inches a group; of a row's height, what its models share


def draw_impact(costs: Sequence[Cost], models: Mapping[str, str], path: Path) -> None:
    """Draw the costs of `models` (what each is called, best first) to a PNG: a panel a horizon, a row a group."""
    groups = list(dict.fromkeys(cost.group for cost in costs))
    horizons = sorted({cost.horizon for cost in costs}, key=int)
    height = ROW * len(groups) + 1.75 + 0.24 * len(models)
    figure = Figure(figsize=(9.6, height), dpi=100, facecolor="white")
    top, bottom = 1 - (1.05 + 0.24 * len(models)) / height, 0.7 / height
    width = 0.86 / len(horizons)
    for place, horizon in enumerate(horizons):
        axes = figure.add_axes((0.115 + place * width, bottom, width - 0.045, top - bottom))
        _draw_rows(axes, [cost for cost in costs if cost.horizon == horizon], groups, list(models))
        axes.set_yticks(
            range(len(groups)), groups if not place else [""] * len(groups), fontsize=10.5, color=INK
        )
        days = "1 day" if horizon == "1" else f"{horizon} days"
        axes.set_title(f"{days} ahead", loc="left", fontsize=10, color=INK, pad=7)
    figure.text(
        0.02, 1 - 0.36 / height, "What leaving out a group costs", fontsize=15, fontweight="bold", color=INK
    )
    level = f"{100 * DRAWS['confidence']:g} %"
    told = f"more error without the group than with all, pooled over coins; the bar is a {level} interval"
    figure.text(0.02, 1 - 0.6 / height, told, fontsize=9, color=MUTED)
    for number, (model, name) in enumerate(models.items()):
        line = 1 - (0.85 + 0.24 * number) / height
        figure.text(0.02, line, "●", fontsize=9, color=_colour(number))
        figure.text(0.04, line, f"{name}  ({model})", fontsize=9, color=INK)
    save(figure, path)


def _draw_rows(axes: Axes, costs: Sequence[Cost], groups: Sequence[str], models: Sequence[str]) -> None:
    axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    for cost in costs:
        number = models.index(cost.model)
        shift = 0.0 if len(models) == 1 else SPREAD * (number / (len(models) - 1) - 0.5)
        at, ratio = groups.index(cost.group) + shift, cost.ratio
        if ratio.value is None:
            continue
        if ratio.low is not None and ratio.high is not None:
            ends = [100 * (ratio.low - 1), 100 * (ratio.high - 1)]
            axes.plot(ends, [at, at], color=_colour(number), linewidth=2.2, solid_capstyle="round", zorder=2)
        axes.plot([100 * (ratio.value - 1)], [at], "o", color=_colour(number), markersize=6, zorder=3)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g} %" if value else "0"))
    axes.margins(x=0.08)
    axes.grid(axis="x", color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=MUTED, pad=5)
    for side in axes.spines.values():
        side.set_visible(False)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
