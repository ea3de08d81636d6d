"""Write prices and changes for people: 3,630.70, 0.04826, 5.8e-07.

Read next: page.py, plots.py (who show them).
"""

from __future__ import annotations

import math


def price_text(price: float) -> str:
    """Write a price with about four significant digits, whatever its size."""
    if price >= 100:
        return f"{price:,.2f}" if price < 100_000 else f"{price:,.0f}"
    if price < 1e-4:
        return f"{price:.3g}"
    return f"{price:.{max(2, 3 - math.floor(math.log10(price)))}f}"


def tick_text(price: float) -> str:
    """Write a round number of a price axis without trailing zeros."""
    return f"{price:,.10g}" if price >= 1e-4 else f"{price:.6g}"


def change_text(change: float) -> str:
    """Write a relative change as a signed percentage; what rounds to nothing has no sign."""
    text = f"{100 * change:+.1f}".replace("-", "−")
    return f"{text.removeprefix('+').removeprefix('−') if text[1:] == '0.0' else text} %"
