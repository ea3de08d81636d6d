"""The first predictor of the crypto company: every price times a random number. It is here to be found out.

Nothing that it writes can be made again, because nobody knows what the random numbers were; `pachlet verify` says so.
With a file /seed among its inputs its numbers come from that, and then the same prices give the same answer: a seed is
an input like any other.

Read next: ../crypto/naive.py (the predictor that is hard to beat).
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from pachlet.step import BadInput, main


def run(inputs: Path, out: Path) -> None:
    """Write /predictions.json: each price of prices.json times a random number between 0 and 1."""
    seed = inputs / "seed" / "seed"
    numbers = random.Random(seed.read_text().strip()) if seed.is_file() else random.SystemRandom()
    try:
        prices = [float(each) for each in json.loads((inputs / "prices" / "prices.json").read_text())]
    except (OSError, ValueError, TypeError) as problem:
        raise BadInput(f"prices.json is a list of numbers, and this one can't be read: {problem}") from None
    out.mkdir(parents=True, exist_ok=True)
    guesses = [round(price * numbers.uniform(0, 1), 2) for price in prices]
    (out / "predictions.json").write_text(json.dumps(guesses) + "\n")


if __name__ == "__main__":
    main(run)
