"""Train stage of the models for all coins: fits each on all that is known of all coins and stores it with its card.

Read next: global_fit.py (the methods), panel.py (what is learnt from), predict.py (who reads the models).
"""

from __future__ import annotations

from pathlib import Path

import joblib

from pachlet.step import BadInput, main
from steps.crypto.cards import CARD, file_sha256, lib_versions
from steps.crypto.feature_groups import groups_of, newest
from steps.crypto.formats import write_json
from steps.crypto.global_fit import LIBRARIES, fit, read_global
from steps.crypto.panel import make_panel, rows_where
from steps.crypto.series import read_series

MODEL = "model.joblib"


def run(inputs: Path, out: Path) -> None:
    """Fit each parameter file under `inputs` (one in a datum)."""
    series = [read_series(path.parent) for path in sorted((inputs / "standardise").glob("*/series.csv"))]
    files = sorted((inputs / "params" / "global").glob("*.json"))
    if not series or not files:
        raise BadInput("train-global needs coins in standardise and a file in params/global")
    for file in files:
        params = read_global(file)
        panel = make_panel(series, params)
        learnt = panel.known(int(panel.day.max())) & rows_where(panel, params["rows"])
        folder = out / f"global.{file.stem}"
        folder.mkdir(parents=True)
        card = {
            "schema": CARD,
            "family": "global",
            "pid": file.stem,
            "params": params,
            "params_sha256": file_sha256(file),
            "coins": len(series),
            "train_end": max(each.dates[-1] for each in series),
            "train_rows": int(learnt.sum()),
            "lib_versions": lib_versions(LIBRARIES),
        }
        if learnt.sum() < params["min_rows"]:
            write_json(folder / "card.json", {**card, "status": "skipped", "reason": "few_rows"})
            continue
        joblib.dump(fit(panel.shown[learnt].columns(), panel.targets[learnt], params), folder / MODEL)
        model = {"file": MODEL, "sha256": file_sha256(folder / MODEL)}
        known = {"market": newest(panel.market, series)} if "market" in groups_of(params) else {}
        write_json(folder / "card.json", {**card, **known, "status": "ok", "model": model})


if __name__ == "__main__":
    main(run, batching=True)
