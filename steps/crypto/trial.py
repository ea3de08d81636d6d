"""Trial stage: back-test one parameter file of an experiment, on a coin or, if it is for all, on all; and score it.

    /<experiment>/<model>/<coin>.jsonl    what it would have said on days that it had not seen, and what came
    /<experiment>/<model>/<coin>.json     how good that was

It is the main job's back-test, on the experiment's folds. It is scored here, so that a trial more is one more datum and
nothing else is computed again.

Read next: backtest.py and backtest_global.py (what is done), score.py, rank.py (who reads it).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pachlet.step import BadInput, main
from steps.crypto import backtest, backtest_global
from steps.crypto.formats import FOLDS, TRIAL, read_json, write_json
from steps.crypto.outcomes import read_card
from steps.crypto.score import scored
from steps.crypto.series import read_series


def run(inputs: Path, out: Path) -> None:
    """Try each parameter file under `inputs` (one in a datum) on the coins that are there."""
    files = sorted((inputs / "grid").glob("*/*/*.json"))
    if not files:
        raise BadInput("a trial needs a parameter file in grid")
    for file in files:
        experiment = file.parent.parent.name
        with tempfile.TemporaryDirectory() as folder:
            tried(file, inputs / "split" / experiment, Path(folder))
            for path in sorted(Path(folder).glob("*/*.json")):
                card, lines = read_card(path), path.with_suffix(".jsonl")
                place = out / experiment / card["model"]
                found = {"schema": TRIAL, "slug": card["slug"], "rows": card["rows"], "model": card["model"]}
                write_json(place / f"{card['slug']}.json", {**found, **scored(card, lines)})
                if lines.exists():
                    shutil.copyfile(lines, place / f"{card['slug']}.jsonl")


def tried(file: Path, coins: Path, out: Path) -> None:
    """Back-test a parameter file on the coins in a folder."""
    series = [read_series(path.parent) for path in sorted(coins.glob("*/series.csv"))]
    if not series:
        raise BadInput(
            f"no coin is old enough for experiment {coins.name}: its 'min_train' is more than all have"
        )
    folds = [read_json(coins / each.slug / "folds.json", FOLDS) for each in series]
    if file.parent.name == "global":
        backtest_global.backtest_file(file, series, folds, out)
        return
    for coin, plan in zip(series, folds, strict=True):
        backtest.backtest_file(file, coin, plan, out / coin.slug)


if __name__ == "__main__":
    main(run, batching=True)
