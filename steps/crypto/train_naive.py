"""Train stage of the naive and the drift family: what has nothing to fit gets a file and a card all the same.

Read next: naive.py (what they say), training.py (what all train stages do).
"""

from __future__ import annotations

from pathlib import Path

from pachlet.step import main
from steps.crypto.naive import DRIFT, NAIVE
from steps.crypto.training import train


def run(inputs: Path, out: Path) -> None:
    train([NAIVE, DRIFT], inputs, out)


if __name__ == "__main__":
    main(run, batching=True)
