"""Compare stage: the verdict on each coin and horizon with its evidence, and all models side by side.

    /champions/<slug>.json   who forecasts this coin at each horizon, since when, why, and by which evidence
    /leaderboard.csv         a row for each parameter file, best first
    /comparison/<h>d.png     the same as a picture for each horizon
    /summary.json            the same for programs, and what following the verdicts would have been worth

What is shown follows from a branch of this repo, `live`: moving it to one of our commits promotes these champions,
moving it back takes them down again.

Read next: verdict.py (the policy), leaderboard.py (the rows), comparison.py (the pictures), predict.py (who reads the
champions).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pachlet.step import BadInput, main
from steps.crypto.cards import digits, read_fields
from steps.crypto.comparison import draw_comparison
from steps.crypto.evidence import Errors, read_errors
from steps.crypto.formats import CHAMPION, PROMOTE, SCORE, read_json, write_json
from steps.crypto.leaderboard import summarise, write_leaderboard
from steps.crypto.metrics import BLOCK_DAYS
from steps.crypto.verdict import Policy, Verdict, reigns_of, replay

POLICY = {
    "fallback": str,
    "min_gain": float,
    "pooled_min_gain": float,
    "ci_below": float,
    "confidence": float,
    "max_worst": float,
    "min_scored": int,
    "own_blocks": int,
    "cooldown_days": int,
    "min_rows": int,
    "block_days": int,
    "review_days": int,
    "boot": int,
    "seed": int,
}
# What a policy that was written before there was this field means.
DEFAULTS = {"own_blocks": 30}


def run(inputs: Path, out: Path) -> None:
    """Compare all coins' scores under one policy."""
    policy = read_fields(
        DEFAULTS | read_json(inputs / "policy" / "promote.json", PROMOTE), "policy/promote.json", POLICY
    )
    for name in ("block_days", "review_days"):
        if policy[name] % BLOCK_DAYS:
            raise BadInput(f"policy/promote.json: {name!r} must be a multiple of {BLOCK_DAYS}")
    scores = [read_json(path, SCORE) for path in sorted((inputs / "score").glob("*.json"))]
    if not scores:
        raise BadInput("there are no scores to compare")
    models = challengers(scores, policy["fallback"])
    pooled = [name for name in models if any(known(score, name).get("global") for score in scores)]
    verdicts: dict[str, tuple[Errors, Verdict]] = {}
    for horizon in horizons(scores):
        errors = read_errors(scores, horizon, [policy["fallback"], *models])
        verdicts[horizon] = errors, replay(errors, int(horizon), policy, pooled)
    for score in scores:
        write_json(out / "champions" / f"{score['slug']}.json", champion(score["slug"], verdicts, policy))
    summary = summarise(scores, verdicts, policy)
    write_leaderboard(out / "leaderboard.csv", summary["models"])
    write_json(out / "summary.json", summary)
    for horizon in verdicts:
        level = policy["confidence"]
        draw_comparison(summary["models"], int(horizon), summary["counted"], level, out / "comparison")


def known(score: dict[str, Any], model: str) -> dict[str, Any]:
    """What a score file says of a model; nothing if it is not in it."""
    return dict(score["models"].get(model, {}))


def challengers(scores: list[dict[str, Any]], fallback: str) -> list[str]:
    """Name the models that may become champion: all but the examples."""
    names = sorted({name for score in scores for name in score["models"]} - {fallback})
    return [name for name in names if not any(known(score, name).get("example") for score in scores)]


def horizons(scores: list[dict[str, Any]]) -> list[str]:
    found = {h for score in scores for model in score["models"].values() for h in model["horizons"]}
    return sorted(found, key=int)


def champion(slug: str, verdicts: dict[str, tuple[Errors, Verdict]], policy: Policy) -> dict[str, Any]:
    """Write down one coin's verdict at each horizon."""
    return {
        "schema": CHAMPION,
        "slug": slug,
        "h": {horizon: ruling(slug, *verdicts[horizon], policy) for horizon in verdicts},
    }


def ruling(slug: str, errors: Errors, verdict: Verdict, policy: Policy) -> dict[str, Any]:
    """The verdict on one coin at one horizon: the champion, and the evidence on it and on its best challenger."""
    row = errors.coins.index(slug)
    reign, known = verdict.reigns[slug], verdict.evidence
    reigning = errors.models.index(reign.champion)
    others = [
        k
        for k in range(1, len(errors.models))
        if k != reigning and known.n[row, k] and not np.isnan(known.rel_mae[row, k])
    ]
    best = min(others, key=lambda k: (known.rel_mae[row, k], errors.models[k]), default=None)

    def measured(k: int) -> dict[str, Any]:
        own = (known.rel_mae[row, k], known.low[row, k], known.high[row, k], known.upper[row, k])
        relative, low, high, upper = (None if np.isnan(each) else digits(each) for each in own)
        pooled = [
            None if np.isnan(each) else digits(each) for each in (known.pooled[k], known.pooled_upper[k])
        ]
        return {
            "model": errors.models[k],
            "n": int(known.n[row, k]),
            "blocks": int(known.blocks[row, k]),
            "rel_mae": relative,
            "gain": None if relative is None else digits(1 - relative),
            "ci95": [low, high],
            "upper": upper,
            "pooled_rel_mae": pooled[0],
            "pooled_upper": pooled[1],
        }

    evidence = measured(reigning)
    return {
        "champion": reign.champion,
        "decision": reign.decision,
        "since": reign.since,
        "reviewed": verdict.reviewed,
        "reigns": [{"since": day, "champion": model} for day, model in reigns_of(errors, verdict, slug)],
        **{key: evidence[key] for key in ("rel_mae", "gain", "ci95", "n")},
        "evidence": evidence,
        "challenger": None if best is None else measured(best),
    }


if __name__ == "__main__":
    main(run)
