"""Decide which coins can be forecast, say why the others cannot, and add up what ingest found.

A coin is usable if its file is no copy of another's and its last unbroken run of days has at least 60 rows.
Of identical files one is kept: the one whose last close is nearest to the price in the list of coins, if a
list was ingested (it tells that `Siacoin.csv` holds the prices of Nexus), else the first by name. Each usable
coin gets a file of its own that holds nothing of the others, so that a new coin reruns only itself.

Read next: standardise.py (which joins these files with the clean prices), report.py (which names the rest).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pachlet.step import main
from steps.crypto.formats import read_json, write_json

MIN_SEGMENT_ROWS = 60

Stats = dict[str, Any]

_STATS_SCHEMA = "crypto.ingest-stats/1"
_REPAIRS = (
    "date_excel_serial",
    "date_long_month",
    "marketcap_dash_to_null",
    "scientific_notation_rows",
    "volume_dash_to_null",
)
_FLAGS = ("calendar_gaps", "jump_gt_3x", "open_outside_low_high", "volume_zero")
_ODD_DATES = ("date_excel_serial", "date_long_month")  # a reader that knows one spelling leaves these as text
_CELLS_PER_ROW = 7
_LONG_HISTORY_ROWS = 200


def run(inputs: Path, out: Path) -> None:
    """Audit all the stats at once."""
    stats = [read_json(path, _STATS_SCHEMA) for path in sorted((inputs / "ingest" / "stats").glob("*.json"))]
    stats.sort(key=lambda s: str(s["file"]))
    coins = [s for s in stats if s["kind"] == "coin"]
    listed: dict[str, float] = {}
    for s in stats:
        listed |= s["prices"] if s["kind"] == "list" else {}
    copies = duplicates(coins, listed)
    rejected = []
    for coin in coins:
        refusal = reason_to_reject(coin, copies)
        if refusal is None:
            write_json(out / "universe" / f"{coin['slug']}.json", universe_entry(coin))
        else:
            rejected.append(rejected_entry(coin, *refusal))
    write_json(out / "rejected.json", {"schema": "crypto.rejected/1", "coins": rejected})
    write_json(out / "totals.json", totals(stats, coins, copies))


def duplicates(coins: Sequence[Stats], listed: dict[str, float]) -> dict[str, Stats]:
    """Map each file that is a copy to the coin that is kept in its stead."""
    by_content: dict[str, list[Stats]] = {}
    for coin in coins:
        if coin["rows_ok"]:
            by_content.setdefault(coin["sha256"], []).append(coin)
    copies: dict[str, Stats] = {}
    for same in by_content.values():
        kept = min(same, key=lambda coin: (distance_to_list(coin, listed), coin["file"]))
        copies |= {coin["file"]: kept for coin in same if coin is not kept}
    return copies


def distance_to_list(coin: Stats, listed: dict[str, float]) -> float:
    """Measure how far a coin's last close is from its price in the list, as a log ratio; unlisted is far.

    A listed price of 0.00 is a rounded one: anything below half a cent.
    """
    if coin["name"] not in listed:
        return math.inf
    return abs(math.log(coin["last_close"] / max(listed[coin["name"]], 0.005)))


def reason_to_reject(coin: Stats, copies: dict[str, Stats]) -> tuple[str, str] | None:
    """Return (reason, sentence) for a coin that cannot be forecast, None for a usable one."""
    if not coin["rows_ok"]:
        return "unreadable", f"none of the {coin['rows_in']} lines of {coin['file']} is a row of prices"
    if kept := copies.get(coin["file"]):
        return f"duplicate_of:{kept['slug']}", f"byte-identical to {kept['file']}"
    if coin["segment_rows"] < MIN_SEGMENT_ROWS:
        since = (
            f"its last unbroken run of days has {coin['segment_rows']} rows (since {coin['segment_start']})"
        )
        return "short_history", f"{since}, a forecast needs {MIN_SEGMENT_ROWS}"
    return None


def universe_entry(coin: Stats) -> dict[str, object]:
    """Describe a usable coin, from its own file alone."""
    return {
        "schema": "crypto.universe/1",
        "slug": coin["slug"],
        "name": coin["name"],
        "file": coin["file"],
        "rows": coin["segment_rows"],
        "segment_start": coin["segment_start"],
        "usable": True,
    }


def rejected_entry(coin: Stats, reason: str, detail: str) -> dict[str, object]:
    """Describe a coin that gets no forecast."""
    known = {key: coin[key] for key in ("slug", "name", "file", "rows_in", "rows_ok", "last", "last_close")}
    return known | {"status": "skipped", "reason": reason, "detail": detail}


def totals(stats: Sequence[Stats], coins: Sequence[Stats], copies: dict[str, Stats]) -> dict[str, object]:
    """Add everything up; rows_total = rows_after_quarantine + rows_quarantined."""
    kept = [coin for coin in coins if coin["rows_ok"] and coin["file"] not in copies]
    rows_total = sum(coin["rows_in"] for coin in coins)
    rows_kept = sum(coin["rows_ok"] for coin in kept)
    long_history = sum(coin["rows_ok"] >= _LONG_HISTORY_ROWS for coin in kept)
    set_aside = {coin["file"]: reason_to_reject(coin, copies) for coin in coins if coin not in kept}
    return {
        "schema": "crypto.totals/1",
        "files": len(coins),
        "ignored_files": [s["file"] for s in stats if s["kind"] != "coin"],
        "notices": [{"file": s["file"], "text": s["text"]} for s in stats if s["kind"] == "notice"],
        "rows_total": rows_total,
        "cells_total": rows_total * _CELLS_PER_ROW,
        "rows_after_quarantine": rows_kept,
        "rows_quarantined": rows_total - rows_kept,
        "rows_quarantined_by_code": _sum_counts((coin["quarantined"] for coin in coins), ()),
        "files_quarantined": {file: refusal[1] for file, refusal in set_aside.items() if refusal},
        "rows_repaired": _sum_counts((coin["repaired"] for coin in coins), _REPAIRS),
        "rows_flagged": _sum_counts((coin["flagged"] for coin in coins), _FLAGS),
        "distinct_coins": len(kept),
        "usable_coins": sum(reason_to_reject(coin, copies) is None for coin in kept),
        "coins_ge_200_rows": long_history,
        "coins_lt_200_rows": len(kept) - long_history,
        "last_date_counts": _sum_counts(({coin["last"]: 1} for coin in coins if coin["last"]), ()),
        "naive_pandas_unparseable_dates": {
            "total": sum(coin["repaired"].get(code, 0) for coin in coins for code in _ODD_DATES),
            "files": [coin["file"] for coin in coins if not coin["repaired"].keys().isdisjoint(_ODD_DATES)],
        },
        "strictly_descending_by_date": all(coin["newest_first"] for coin in coins),
        "coins": {
            coin["file"]: {key: coin[key] for key in ("first", "last", "sha256")} | {"rows": coin["rows_in"]}
            for coin in coins
        },
    }


def _sum_counts(counts: Iterable[dict[str, int]], always: Sequence[str]) -> dict[str, int]:
    """Add counters up; the `always` keys are shown even at zero."""
    total: Counter[str] = Counter(dict.fromkeys(always, 0))
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


if __name__ == "__main__":
    main(run)
