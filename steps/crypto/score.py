"""Score stage: how good is each model on one coin, at each horizon, on days that it had not seen?

The back-tests of all models of a coin come together here and are scored in the same way, "as today" among them.
A model that had too little history keeps its place, with the reason instead of numbers.

Read next: metrics.py (what is counted), outcomes.py (what is read), compare.py (what follows from it).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pachlet.step import BadInput, main
from steps.crypto.formats import SCORE, write_json
from steps.crypto.metrics import score
from steps.crypto.outcomes import read_card, read_outcomes


def run(inputs: Path, out: Path) -> None:
    """Write /<slug>.json for each coin under `inputs` (one in a datum)."""
    slugs = sorted({path.parent.name for path in inputs.glob("backtest*/*/*.json")})
    if not slugs:
        raise BadInput("there is no back-test to score")
    for slug in slugs:
        cards = [read_card(path) for path in inputs.glob(f"backtest*/{slug}/*.json")]
        models = {
            card["model"]: scored(card, next(inputs.glob(f"backtest*/{slug}/{card['model']}.jsonl"), None))
            for card in sorted(cards, key=lambda card: str(card["model"]))
        }
        write_json(
            out / f"{slug}.json",
            {"schema": SCORE, "slug": slug, "rows": max(c["rows"] for c in cards), "models": models},
        )


def scored(card: dict[str, Any], lines: Path | None) -> dict[str, Any]:
    """Say of one model what it is and how good it was, by horizon."""
    known = {key: card[key] for key in ("status", "global", "example", "params", "params_sha256")}
    if card["status"] != "ok" or lines is None:
        return {**known, "reason": card.get("reason", "no_lines"), "horizons": {}}
    horizons = {str(h): score(rows) for h, rows in sorted(read_outcomes(lines).items())}
    return {**known, "tails": card["tails"], "horizons": horizons}


if __name__ == "__main__":
    main(run, batching=True)
