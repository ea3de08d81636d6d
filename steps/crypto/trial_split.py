"""Split stage of experiments: for a coin and an experiment, when models are refitted and which days they are tried on.

    /<experiment>/<coin>/folds.json    as split.py has it, with the experiment's plan
    /<experiment>/<coin>/series.csv    the coin's series, beside them

The series lies beside the folds so that a trial meets the coins of its own experiment by the experiment's name. A coin
that is too young for the plan is not in the experiment.

Read next: split.py (the folds), trial.py (who reads them).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pachlet.step import BadInput, main
from steps.crypto.formats import FOLDS, read_json, write_json
from steps.crypto.split import PLANNED, days_of, folds


def run(inputs: Path, out: Path) -> None:
    """Split each coin under `inputs` by each experiment's plan (one of each in a datum)."""
    coins = sorted((inputs / "standardise").glob("*/series.csv"))
    plans = sorted((inputs / "grid").glob("*/split.json"))
    if not coins or not plans:
        raise BadInput("a split needs a coin in standardise and an experiment's split.json in grid")
    for path in plans:
        plan = read_json(path, PLANNED)
        for series in coins:
            slug, experiment = series.parent.name, path.parent.name
            days = days_of(series)
            if len(days) <= plan["min_train"]:
                print(
                    f"{slug} has {len(days)} days, too few for {experiment}, which trains on {plan['min_train']}"
                )
                continue
            folder = out / experiment / slug
            write_json(folder / "folds.json", {"schema": FOLDS, "slug": slug, **folds(days, plan)})
            shutil.copyfile(series, folder / "series.csv")


if __name__ == "__main__":
    main(run)
