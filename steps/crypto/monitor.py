"""Monitor stage: is the data as it should be, are the models as good as when they were chosen, is anybody left out?

    /report.json    what was found, by kind, with all numbers
    /alerts.jsonl   what somebody should look at: {id, severity, kind, slug, value, limit, since}

An alert's `since` is the first day of the trouble, or empty if no day can be told from the data, and its id follows
from kind, coin and that day. So the same alert has the same id tomorrow, and whenever the past is replayed. Limits that
are statistical follow from how much there is to judge by (`alpha`, shared among the coins), not from a fixed number.

Read next: checks.py (each check), drift.py, ../../data/policy/monitor.json.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pachlet.step import main
from steps.crypto.checks import Company, by_coin, groups, missing, nothing_left, unreadable
from steps.crypto.days import read_champions, read_days
from steps.crypto.formats import FORECAST, read_json, write_json, write_json_lines
from steps.crypto.policies import read_policy

MONITOR = "crypto.monitor/1"
REPORT = "crypto.monitored/1"
FIELDS: dict[str, type] = {
    "window_days": int,  # what is recent, for gaps, jumps, coverage and accuracy
    "stale_days": int,  # behind the newest coin
    "gap_days": int,
    "jump": float,  # times the price of the day before
    "glitch_days": int,  # a jump that is back within so many days is a wrong quote
    "drift_days": int,
    "alpha": float,  # chance of a false alarm, for each kind and day, over all coins
    "coverage": float,  # that was promised
    "max_rel_mae": float,  # error over that of "as today", in the window
    "bias_days": int,
}


def run(inputs: Path, out: Path) -> None:
    """Look at all coins."""
    policy = read_policy(inputs / "policy" / "monitor.json", MONITOR, FIELDS)
    names = [path.stem for path in sorted((inputs / "audit" / "universe").glob("*.json"))]
    series = {name: read_days(inputs / "standardise" / name) for name in names if has_series(inputs, name)}
    company = Company(
        policy=policy,
        day=max((days[-1].day for days in series.values()), default=""),
        series=series,
        live=read_champions(inputs / "champions"),
        newest=read_champions(inputs / "compare"),
        backtest=inputs / "backtest",
    )
    statuses = {slug: status_of(inputs / "predict" / f"{slug}.json") for slug in names}
    rejected = read_json(inputs / "audit" / "rejected.json", "crypto.rejected/1")["coins"]
    alerts = missing(statuses, company.day) + unreadable(rejected) + nothing_left(series, rejected)
    coins = {}
    for slug in series:
        coins[slug], found = by_coin(company, slug)
        alerts += found
    bias, found = groups(company) if series else ({}, [])
    alerts += found
    alerts.sort(key=lambda alert: (ORDER[alert.severity], alert.kind, alert.slug))
    write_json_lines(out / "alerts.jsonl", (alert.as_record() for alert in alerts))
    write_json(
        out / "report.json",
        {
            "schema": REPORT,
            "day": company.day,
            "policy": policy,
            "coins": coins,
            "without_series": sorted(set(names) - set(series)),
            "bias": bias,
            "alerts": dict(sorted(Counter(alert.kind for alert in alerts).items())),
        },
    )


ORDER = {"error": 0, "warning": 1, "info": 2}


def has_series(inputs: Path, slug: str) -> bool:
    """Tell whether the coin came through standardise; one that did not is missed, and said to be."""
    return (inputs / "standardise" / slug / "series.csv").is_file()


def status_of(path: Path) -> str:
    """Return the status of a coin's forecast; `missing` where there is none."""
    return str(read_json(path, FORECAST)["status"]) if path.is_file() else "missing"


if __name__ == "__main__":
    main(run)
