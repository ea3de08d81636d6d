"""What all plots are drawn on: colours, the fonts that come with matplotlib, and how a figure becomes a PNG.

The same numbers give the same bytes: only the fonts that come with matplotlib are used, whatever the machine
has, and the PNG carries no software version and no time. Nothing touches matplotlib's global figure state, so
drawing a hundred coins leaves nothing behind.

Read next: plots.py (coins), comparison.py (models).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Where a step runs there is no home folder for matplotlib to keep its font list in.
os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="matplotlib-"))

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, MUTED, FAINT, GRID = "#1d2733", "#6b7785", "#b4bdc7", "#e8ecf0"

_BUNDLED = Path(matplotlib.get_data_path()) / "fonts"

font_manager.fontManager.ttflist = [
    font for font in font_manager.fontManager.ttflist if Path(font.fname).is_relative_to(_BUNDLED)
]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, its folder made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})
