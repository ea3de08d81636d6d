"""Nightly stage: how good were the promoted models, night after night? A cron asks.

    /accuracy.csv   a row a night: over the window before it, the median coin's error over that of "as today", the
                    share of coins better than that, and how often outcomes were in the 80 % interval
    /alerts.jsonl   each run of nights on which that error was above the policy's limit

The tick says which night it is. A step may not know what it wrote the night before, so all nights of the policy's
`bias_days` are made again from the back-tests of the models that are promoted now: forecasts made without knowing what
came. So a promotion shows at once what its models would have been worth.

Read next: ticks.py, checks.py (the alerts' form), monitor.py (a coin at a time, on each new day of data).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pachlet.step import main
from steps.crypto.checks import Alert
from steps.crypto.days import FALLBACK, Line, read_champions, read_lines, rounded
from steps.crypto.formats import number_text, write_csv, write_json_lines
from steps.crypto.monitor import FIELDS, MONITOR
from steps.crypto.policies import read_policy
from steps.crypto.ticks import today

COLUMNS = ("night", "coins", "outcomes", "rel_mae", "better", "cov80")
_FEWEST = 10  # outcomes of a coin in the window to count it


def run(inputs: Path, out: Path) -> None:
    """Score the nights up to the tick's."""
    policy = read_policy(inputs / "policy" / "monitor.json", MONITOR, FIELDS)
    pairs = [
        read_pairs(inputs, slug, verdicts) for slug, verdicts in read_champions(inputs / "champions").items()
    ]
    end = today(inputs / "tick")
    nights = (end - timedelta(days=back) for back in range(policy["bias_days"], -1, -1))
    rows = [row for night in nights for row in score(pairs, night, policy["window_days"])]
    write_csv(out / "accuracy.csv", COLUMNS, ([cell(row[name]) for name in COLUMNS] for row in rows))
    write_json_lines(
        out / "alerts.jsonl", (alert.as_record() for alert in alerts(rows, policy["max_rel_mae"]))
    )


def cell(value: Any) -> str:
    return number_text(value) if isinstance(value, float) else "" if value is None else str(value)


def read_pairs(inputs: Path, slug: str, verdicts: dict[str, Any]) -> list[tuple[Line, float]]:
    """Return a coin's known outcomes one day ahead, each with the error that "as today" made."""
    champion = str(verdicts.get("1", {}).get("champion", FALLBACK))
    lines = read_lines(inputs / "backtest", slug, champion, 1)
    return [(line, abs(line.last - line.actual)) for line in lines if line.actual is not None]


def score(pairs: list[list[tuple[Line, float]]], night: date, window: int) -> Iterator[dict[str, Any]]:
    """Score the window before one night, in which at least one coin has enough outcomes."""
    first, last = (night - timedelta(days=window)).isoformat(), night.isoformat()
    relative, inside = [], []
    for coin in pairs:
        known = [(line, base) for line, base in coin if first <= line.target < last]
        base = sum(error for _, error in known)
        if len(known) < _FEWEST or not base:
            continue
        relative.append(sum(abs(line.point - (line.actual or 0.0)) for line, _ in known) / base)
        inside += [
            line.low <= line.actual <= line.high
            for line, _ in known
            if line.low is not None and line.high is not None and line.actual is not None
        ]
    if relative:
        yield {
            "night": last,
            "coins": len(relative),
            "outcomes": len(inside),
            "rel_mae": rounded(median(relative)),
            "better": rounded(fmean(each < 1 for each in relative)),
            "cov80": rounded(fmean(inside)) if inside else None,
        }


def alerts(rows: list[dict[str, Any]], limit: float) -> Iterator[Alert]:
    """Yield an alert for each unbroken run of nights above the limit, since its first."""
    before = False
    for row in rows:
        if row["rel_mae"] > limit and not before:
            yield Alert("warning", "nightly_rel_mae", "*", row["rel_mae"], limit, row["night"])
        before = row["rel_mae"] > limit


if __name__ == "__main__":
    main(run)
