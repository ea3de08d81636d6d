"""Choose one model of the grid: the simplest within one standard error of the best.

On so few flowers many models are as good as the best one, and which of them is first by a hair is luck: the example
that this follows "chose" all 77 of 77. The rule of one standard error (Breiman and others, Classification and
Regression Trees, 1984, section 3.4.3) takes the simplest of those that can't be told from the best: the smallest C,
at the same C the linear kernel, at the same kernel the smallest gamma. It looks at the cross-validation alone, never
at the flowers kept for the end.

Read next: evaluate.py (which tells how good the choice is).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import joblib

from pachlet.step import BadInput, main
from steps.iris.train import describe, read_training


def run(inputs: Path, out: Path) -> None:
    """Write /model.joblib, /model.txt, /choice.json and /leaderboard.csv."""
    found = {}
    for path in sorted(each for name in ("linear", "model") for each in (inputs / name).rglob("cv.json")):
        score = json.loads(path.read_text())
        found[score["point"]] = (score, path.with_name("model.joblib"))
    if not found:
        raise BadInput(
            "there is no model to choose from: the repo parameters needs a file in /c, and one in /gamma"
        )
    scores = [score for score, _ in found.values()]
    choice = choose(scores)
    stored = found[choice["chosen"]][1]
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(stored, out / "model.joblib")
    flowers = read_training(inputs / "split", "train.csv")
    (out / "model.txt").write_text(describe(joblib.load(stored), flowers), encoding="utf-8", newline="\n")
    (out / "choice.json").write_text(json.dumps(choice, sort_keys=True) + "\n")
    (out / "leaderboard.csv").write_text(leaderboard(scores, choice["chosen"]))


def complexity(score: dict[str, Any]) -> tuple[float, float]:
    """Return what orders models from simple to complex."""
    return score["C"], score["gamma"] or 0.0


def choose(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose by the rule of one standard error; say what was best, what was tied with it, and why this one."""
    best = min(scores, key=lambda score: (-score["mean"], complexity(score)))
    floor = best["mean"] - best["se"]
    tied = [score for score in scores if score["mean"] >= floor]
    chosen = min(tied, key=complexity)
    why = (
        f"{len(tied)} of {len(scores)} models are within one standard error ({best['se']:.3f}) of the best, "
        f"{best['point']} ({best['mean']:.3f}); {chosen['point']} ({chosen['mean']:.3f}) is the simplest of them"
    )
    return {
        "best": best["point"],
        "chosen": chosen["point"],
        "mean": chosen["mean"],
        "of": len(scores),
        "rule": "1se",
        "schema": "iris.choice/1",
        "tied": len(tied),
        "why": why,
    }


def leaderboard(scores: list[dict[str, Any]], chosen: str) -> str:
    """Return one line a model, the best first."""
    lines = ["point,kernel,C,gamma,mean,se,chosen"]
    for each in sorted(scores, key=lambda score: (-score["mean"], complexity(score))):
        gamma = "" if each["gamma"] is None else f"{each['gamma']:g}"
        mark = "yes" if each["point"] == chosen else ""
        row = f"{each['point']},{each['kernel']},{each['C']:g},{gamma},{each['mean']:.4f},{each['se']:.4f},{mark}"
        lines.append(row)
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main(run)
