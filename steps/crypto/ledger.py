"""Ledger stage: what following the decisions would have brought, day by day, on paper, fees included.

Nothing is remembered from run to run: the whole ledger is replayed from the back-tests, in which each forecast was made
without knowing what came. On each day the champion of that day counts, also one that was taken down later: to leave out
those that failed would be hindsight. Beside it stands buying all coins on the first day and keeping them.

Read next: trading.py (the rule), book.py (the arithmetic).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pachlet.step import main
from steps.crypto.book import Book, Hold, drawdown
from steps.crypto.days import FALLBACK, Line, mean_volume, read_champions, read_days, read_lines, rounded
from steps.crypto.formats import number_text, write_csv, write_json, write_json_lines
from steps.crypto.trading import Decision, decide, read_trade

SUMMARY = "crypto.ledger/1"


def run(inputs: Path, out: Path) -> None:
    """Write the ledger of all coins."""
    policy = read_trade(inputs / "policy" / "trade.json")
    by_day: dict[str, list[tuple[str, float, Decision]]] = defaultdict(list)
    for slug, verdicts in read_champions(inputs / "champions").items():
        for line, decision in decisions(inputs, slug, verdicts, policy):
            by_day[line.origin].append((slug, line.last, decision))
    book = Book(policy["cash"], policy["fee_bps"] / 1e4)
    kept = Hold(policy["cash"], policy["fee_bps"] / 1e4)
    curve: list[tuple[str, float, float]] = []
    for day, made in sorted(by_day.items()):
        prices = {slug: last for slug, last, _ in made}
        book.trade(day, prices, {slug: decision for slug, _, decision in made})
        curve.append((day, book.equity, kept.value(prices)))
    write_json_lines(out / "ledger.jsonl", book.trades)
    cells = ([day, number_text(rounded(ours)), number_text(rounded(held))] for day, ours, held in curve)
    write_csv(out / "equity.csv", ("date", "equity", "buy_and_hold"), cells)
    write_json(out / "summary.json", summary(book, curve, policy))


def decisions(
    inputs: Path, slug: str, verdicts: dict[str, Any], policy: dict[str, Any]
) -> list[tuple[Line, Decision]]:
    """Decide on one coin at each origin that was forecast, by whoever was champion then."""
    verdict = verdicts.get(str(policy["horizon"]), {"champion": FALLBACK, "since": ""})
    backtest = inputs / "backtest"
    lines = {line.origin: line for line in read_lines(backtest, slug, FALLBACK, policy["horizon"])}
    reigns = verdict.get("reigns", [verdict])
    ends = [str(following["since"]) for following in reigns[1:]]
    for reign, end in zip_longest(reigns, ends):
        for line in read_lines(backtest, slug, str(reign["champion"]), policy["horizon"]):
            if str(reign["since"]) <= line.origin and (end is None or line.origin < end):
                lines[line.origin] = line
    if not lines:  # a coin that was promoted once and whose prices are gone
        return []
    days = read_days(inputs / "standardise" / slug)
    rows = {day.day: row for row, day in enumerate(days)}
    found = []
    for origin, line in sorted(lines.items()):
        volume = mean_volume(days, rows[origin], policy["volume_days"]) if origin in rows else None
        found.append((line, decide(line.point, line.last, line.low, volume, policy)))
    return found


def summary(book: Book, curve: list[tuple[str, float, float]], policy: dict[str, Any]) -> dict[str, Any]:
    """Say in numbers what the ledger came to."""
    start = policy["cash"]
    ours, held = (curve[-1][1], curve[-1][2]) if curve else (start, start)
    return {
        "schema": SUMMARY,
        "paper": True,
        "first": curve[0][0] if curve else None,
        "last": curve[-1][0] if curve else None,
        "days": len(curve),
        "cash": start,
        "equity": rounded(ours),
        "return": rounded(ours / start - 1),
        "max_drawdown": rounded(drawdown([equity for _, equity, _ in curve])),
        "trades": len(book.trades),
        "fees": rounded(book.fees),
        "holdings": {slug: rounded(qty) for slug, qty in sorted(book.held.items())},
        "buy_and_hold": {
            "equity": rounded(held),
            "return": rounded(held / start - 1),
            "max_drawdown": rounded(drawdown([equity for *_, equity in curve])),
        },
    }


if __name__ == "__main__":
    main(run)
