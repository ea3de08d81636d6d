"""Try one trained model on the flowers that no model was trained on.

Read next: select_model.py (which does not look at this: what chooses must not be what judges).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
from sklearn.svm import SVC

from pachlet.step import BadInput, main
from steps.iris.flowers import Flower
from steps.iris.grid import table
from steps.iris.train import read_training


def run(inputs: Path, out: Path) -> None:
    """Write /POINT.json for each model of one datum: one."""
    flowers = read_training(inputs / "split", "test.csv")
    for stored in sorted((inputs / "model").rglob("model.joblib")):
        out.mkdir(parents=True, exist_ok=True)
        name = stored.parent.name
        scores = {"point": name, "schema": "iris.test/1", **measure(joblib.load(stored), flowers)}
        (out / f"{name}.json").write_text(json.dumps(scores, sort_keys=True) + "\n")


def measure(model: SVC, flowers: list[Flower]) -> dict[str, Any]:
    """Return accuracy, the number of flowers, and how many of each species (row) were called which (column)."""
    measurements, species = table(flowers)
    known = [str(each) for each in model.classes_]
    if strange := sorted(set(species) - set(known)):
        raise BadInput(f"the model has never seen {', '.join(strange)}")
    called = [str(each) for each in model.predict(measurements)]
    pairs = list(zip(species, called, strict=True))
    return {
        "accuracy": round(sum(true == said for true, said in pairs) / len(pairs), 6),
        "confusion": [[pairs.count((true, said)) for said in known] for true in known],
        "n": len(pairs),
        "species": known,
    }


if __name__ == "__main__":
    main(run, batching=True)
