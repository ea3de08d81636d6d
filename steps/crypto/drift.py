"""Has a distribution moved? The population stability index, and how large it is by chance.

PSI sums (p - q) ln(p / q) over bins of equal share in the reference. A fixed alarm at 0.1 is wrong: with few values PSI
is large though nothing changed. Without change it is about (1/n + 1/m) times a chi-squared with one degree less than
there are bins (Yurdakul & Naranjo, Statistical properties of the population stability index, 2020), so the limit comes
from the sizes of both samples and from how often a false alarm may be.

Read next: monitor.py (who asks).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from statistics import NormalDist

BINS = 10


def psi(recent: Sequence[float], reference: Sequence[float], bins: int = BINS) -> float:
    """Return the index of a sample against a reference; counts are smoothed by half of one, so none is empty."""
    ordered = sorted(reference)
    edges = [ordered[len(ordered) * k // bins] for k in range(1, bins)]
    p, q = shares(recent, edges), shares(reference, edges)
    return math.fsum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))


def shares(values: Sequence[float], edges: Sequence[float]) -> list[float]:
    """Return the share of values in each bin between edges."""
    counts = [0.5] * (len(edges) + 1)
    for value in values:
        counts[bisect_right(edges, value)] += 1
    whole = sum(counts)
    return [count / whole for count in counts]


def limit(n: int, m: int, alpha: float, bins: int = BINS) -> float:
    """Return what PSI of samples of `n` and `m` exceeds with a chance of `alpha` when nothing has changed."""
    return (1 / n + 1 / m) * chi_squared(1 - alpha, bins - 1)


def chi_squared(share: float, degrees: int) -> float:
    """Return a quantile of the chi-squared distribution, by Wilson and Hilferty's cube."""
    z = NormalDist().inv_cdf(share)
    return float(degrees * (1 - 2 / (9 * degrees) + z * math.sqrt(2 / (9 * degrees))) ** 3)
