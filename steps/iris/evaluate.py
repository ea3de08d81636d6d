"""Tell how good the chosen model is on the flowers that nothing was chosen by, and draw the grid.

Read next: trial.py (the measuring), select_model.py (the choosing).
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import joblib
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from pachlet.step import main
from steps.iris.train import read_training
from steps.iris.trial import measure

BLUE, RED = "#2563eb", "#dc2626"


def run(inputs: Path, out: Path) -> None:
    """Write /metrics.json and /experiment.png."""
    chosen = json.loads((inputs / "select" / "choice.json").read_text())
    model = joblib.load(inputs / "select" / "model.joblib")
    scores = measure(model, read_training(inputs / "split", "test.csv"))
    metrics = {"schema": "iris.metrics/1", "point": chosen["chosen"], "cv_mean": chosen["mean"], **scores}
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(json.dumps(metrics, sort_keys=True) + "\n")
    with (inputs / "select" / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(11, 4.4), width_ratios=(1.7, 1), layout="constrained"
    )
    draw_grid(left, rows)
    draw_confusion(right, metrics["confusion"], [name.removeprefix("Iris-") for name in metrics["species"]])
    hits = sum(row[i] for i, row in enumerate(metrics["confusion"]))
    right.set_title(f"Of {metrics['n']} flowers kept for the end {hits} right", loc="left")
    figure.savefig(out / "experiment.png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def draw_grid(axes: Axes, rows: list[dict[str, str]]) -> None:
    """Draw each model's accuracy over C, the band of one standard error below the best, and the chosen one."""
    best = rows[0]
    mean, error = float(best["mean"]), float(best["se"])
    axes.axhspan(mean - error, mean, color=BLUE, alpha=0.08, label="within one standard error of the best")
    lines: dict[str, list[dict[str, str]]] = {}
    for row in sorted(rows, key=lambda row: (float(row["gamma"] or 0), float(row["C"]))):
        lines.setdefault(row["gamma"], []).append(row)
    gammas = [gamma for gamma in lines if gamma]
    for gamma, points in lines.items():
        x, y = [float(row["C"]) for row in points], [float(row["mean"]) for row in points]
        if gamma:
            at = gammas.index(gamma)
            shade = str(0.82 - 0.5 * at / max(1, len(gammas) - 1))
            label = f"radial kernel, γ = {gamma}" if at in (0, len(gammas) - 1) else None
            axes.plot(x, y, "o-", ms=3, lw=1, color=shade, label=label)
        else:
            axes.plot(x, y, "o-", ms=3, lw=2, color=BLUE, zorder=3, label="linear kernel")
    (chosen,) = (row for row in rows if row["chosen"])
    axes.plot(float(chosen["C"]), float(chosen["mean"]), "o", ms=11, mfc="none", mec=RED, mew=2,
              label=f"chosen: {chosen['point']}")  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(max(min(float(row["mean"]) for row in rows), mean - 6 * error) - error / 2, mean + error)
    axes.set(xlabel="C", ylabel="accuracy, cross-validated")
    axes.set_title("The simplest model that can't be told from the best", loc="left")
    axes.legend(loc="lower right", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw_confusion(axes: Axes, confusion: list[list[int]], species: list[str]) -> None:
    """Draw what each species (row) was called (column)."""
    axes.imshow(confusion, cmap="Blues", vmin=0)
    most = max(max(row) for row in confusion)
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            axes.text(
                j, i, str(count), ha="center", va="center", color="white" if count > most / 2 else "black"
            )
    axes.set_xticks(range(len(species)), species)
    axes.set_yticks(range(len(species)), species, rotation=90, va="center")
    axes.set(xlabel="called", ylabel="is")


if __name__ == "__main__":
    main(run)
