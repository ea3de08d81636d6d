"""Times that are taken in turns, and what they amount to: ours, the limit, the ratio, the target.

The machines are noisy, so the ways are taken in turns, round by round, and medians are compared: what disturbs one
disturbs the other. Only ratios of one run count.

Read next: put_get.py.
"""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

OURS = "pachlet"
LIMIT = "limit"
_MET, _MISSED = "ok", "MISSED"

Way = Callable[[int], float]
"""Does the work of one round and returns the seconds that count."""


@dataclass
class Comparison:
    """How long each way took, in each round, for one kind of work."""

    what: str
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def median(self, way: str) -> float:
        """Return the median of a way."""
        return statistics.median(self.times[way])

    def show(
        self,
        *,
        most: float | None = None,
        most_seconds: float | None = None,
        limit: str = LIMIT,
        or_limit: bool = False,
    ) -> None:
        """Print it; `most` is the target as a multiple of the limit, `most_seconds` that in seconds.

        With `or_limit` more seconds are good where the limit itself takes as many.
        """
        ours = self.median(OURS)
        line = f"{self.what:<44} ours {ours:7.2f} s"
        if limit in self.times:
            ratio = ours / self.median(limit)
            line += f"   {limit} {self.median(limit):7.2f} s   ratio {ratio:5.2f}"
            if most is not None:
                line += f"   target <= {most:.2f}: {verdict(ratio <= most)}"
        if most_seconds is not None:
            good = ours <= most_seconds or (or_limit and ours <= self.median(limit))
            than = ", or what the limit takes" if or_limit else ""
            line += f"   target <= {most_seconds:.1f} s{than}: {verdict(good)}"
        print(line, flush=True)
        peers = [way for way in self.times if way not in (OURS, limit)]
        if peers:
            print("    " + "   ".join(f"{each} {self.median(each):.2f} s" for each in peers), flush=True)


def verdict(good: bool) -> str:
    """Return how a target was met."""
    return _MET if good else _MISSED


def is_verdict(line: str) -> bool:
    """Tell whether a line says how a target was met."""
    return "target" in line and line.rstrip().endswith((f": {_MET}", f": {_MISSED}"))


def in_turns(rounds: int, kinds: Mapping[str, Mapping[str, Way]]) -> dict[str, Comparison]:
    """Take every way of every kind of work once a round; the order of the ways changes, that of the kinds does not."""
    found = {what: Comparison(what) for what in kinds}
    chance = random.Random(1)
    for number in range(rounds):
        ways = sorted({way for each in kinds.values() for way in each})
        chance.shuffle(ways)
        for way in ways:
            for what, each in kinds.items():
                if way in each:
                    found[what].times[way].append(each[way](number))
    return found
