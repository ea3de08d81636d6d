"""Train stage of the linear family: fits each coin's newest model and stores it with its card.

Read next: linear.py (the fit), training.py (what all train stages do).
"""

from __future__ import annotations

from pathlib import Path

from pachlet.step import main
from steps.crypto.linear import LINEAR
from steps.crypto.rows import chosen_days
from steps.crypto.training import train


def run(inputs: Path, out: Path) -> None:
    train([LINEAR], inputs, out, chosen_days)


if __name__ == "__main__":
    main(run, batching=True)
