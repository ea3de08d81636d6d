"""The checks of the monitor: each says what it measured, and raises an alert where that is beyond its limit.

Read next: monitor.py (who runs them), drift.py.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from statistics import NormalDist, fmean, median, stdev
from typing import Any

from steps.crypto.days import FALLBACK, Day, Line, known_until, read_lines, rounded
from steps.crypto.drift import limit, psi

_REFERENCE = 3  # times the recent days there must be before them, to say what is usual
_FEWEST = 10  # outcomes to say anything about a model


@dataclass(frozen=True)
class Alert:
    """Something that somebody should look at."""

    severity: str
    kind: str
    slug: str
    value: float | str
    limit: float | str
    since: str

    def as_record(self) -> dict[str, Any]:
        """A line of alerts.jsonl; the id follows from what, whom and since when."""
        named = f"{self.kind}\n{self.slug}\n{self.since}".encode()
        value = rounded(self.value) if isinstance(self.value, float) else self.value
        bound = rounded(self.limit) if isinstance(self.limit, float) else self.limit
        return {**vars(self), "value": value, "limit": bound, "id": hashlib.sha256(named).hexdigest()[:16]}


@dataclass(frozen=True)
class Company:
    """All that is looked at, and the policy by which."""

    policy: Mapping[str, Any]
    day: str
    series: Mapping[str, Sequence[Day]]
    live: Mapping[str, Mapping[str, Any]]
    newest: Mapping[str, Mapping[str, Any]]
    backtest: Path

    @property
    def share(self) -> float:
        """The chance of a false alarm that one coin may have."""
        return float(self.policy["alpha"]) / len(self.series)

    def champion(self, slug: str, horizon: int = 1) -> str:
        """Who forecasts the coin."""
        return str(self.live.get(slug, {}).get(str(horizon), {}).get("champion", FALLBACK))


def missing(statuses: Mapping[str, str], day: str) -> list[Alert]:
    """Name the coins that should have a forecast and have none."""
    return [
        Alert("error", "no_forecast", slug, status, "ok", day)
        for slug, status in statuses.items()
        if status != "ok"
    ]


def unreadable(rejected: Sequence[Mapping[str, Any]]) -> list[Alert]:
    """Name the files of prices without one row that could be read; since when cannot be told from the data."""
    return [
        Alert("error", "unreadable_file", str(coin["slug"]), coin["rows_in"], 0, "")
        for coin in rejected
        if coin["reason"] == "unreadable"
    ]


def nothing_left(series: Mapping[str, Any], rejected: Sequence[Mapping[str, Any]]) -> list[Alert]:
    """Say that there is no coin at all to forecast; how many files were rejected, and by their data no day is told."""
    return [] if series else [Alert("error", "no_coin", "", len(rejected), 0, "")]


def by_coin(company: Company, slug: str) -> tuple[dict[str, Any], list[Alert]]:
    """Look at one coin: its data, then its champion."""
    days = company.series[slug]
    facts: dict[str, Any] = {"champion": company.champion(slug)}
    alerts: list[Alert] = []
    for check in (stale, gaps, jumps, moved):
        said, found = check(company, slug, days)
        facts |= said
        alerts += found
    lines = read_lines(company.backtest, slug, company.champion(slug), 1)
    naive = {line.origin: line for line in read_lines(company.backtest, slug, FALLBACK, 1)}
    for judge in (covered, accurate):
        said, found = judge(company, slug, lines, naive)
        facts |= said
        alerts += found
    return facts, alerts + other_champion(company, slug)


Checked = tuple[dict[str, Any], list[Alert]]


def stale(company: Company, slug: str, days: Sequence[Day]) -> Checked:
    """How many days the coin is behind the others."""
    last = max(day.day for day in days if day.observed)
    behind = (date.fromisoformat(company.day) - date.fromisoformat(last)).days
    bound = company.policy["stale_days"]
    if behind <= bound:
        return {"behind": behind}, []
    since = date.fromisoformat(last) + timedelta(days=bound + 1)
    return {"behind": behind}, [Alert("error", "stale", slug, behind, bound, since.isoformat())]


def gaps(company: Company, slug: str, days: Sequence[Day]) -> Checked:
    """Days without a quote, of the recent ones."""
    filled = [day.day for day in days[-company.policy["window_days"] :] if not day.observed]
    bound = company.policy["gap_days"]
    found = [Alert("info", "gaps", slug, len(filled), bound, filled[0])] if len(filled) > bound else []
    return {"filled": len(filled)}, found


def jumps(company: Company, slug: str, days: Sequence[Day]) -> Checked:
    """Prices of a multiple of the day before; one that comes back at once was a wrong quote."""
    bound, first = math.log(company.policy["jump"]), max(1, len(days) - company.policy["window_days"])
    found: list[Alert] = []
    came_back: set[int] = set()
    for row in range(first, len(days)):
        before, size = days[row - 1].log_close, days[row].log_close - days[row - 1].log_close
        if abs(size) <= bound or row in came_back:
            continue
        later = range(row + 1, min(row + 1 + company.policy["glitch_days"], len(days)))
        back = next((r for r in later if abs(days[r].log_close - before) < bound / 2), None)
        came_back |= set() if back is None else {back}
        severity, kind = ("warning", "jump") if back is None else ("info", "glitch")
        found.append(Alert(severity, kind, slug, math.exp(size), company.policy["jump"], days[row].day))
    return {"jumps": len(found)}, found


def moved(company: Company, slug: str, days: Sequence[Day]) -> Checked:
    """Whether recent returns, in volatilities known the day before, are distributed otherwise than those before."""
    known = [
        (later.day, later.ret / earlier.vol)
        for earlier, later in pairwise(days)
        if later.observed and later.ret is not None and earlier.vol
    ]
    window = company.policy["drift_days"]

    def beyond(count: int) -> tuple[float, float] | None:
        """PSI and its limit when only so many values were known."""
        values = [value for _, value in known[:count]]
        if len(values) < (1 + _REFERENCE) * window:
            return None
        recent, reference = values[-window:], values[:-window]
        return psi(recent, reference), limit(len(recent), len(reference), company.share)

    now = beyond(len(known))
    if now is None:
        return {"psi": None}, []
    value, bound = now
    if value <= bound:
        return {"psi": rounded(value), "psi_limit": rounded(bound)}, []
    start = first_row(len(known), lambda count: (found := beyond(count)) is not None and found[0] > found[1])
    alert = Alert("warning", "drift", slug, value, bound, known[start - 1][0])
    return {"psi": rounded(value), "psi_limit": rounded(bound)}, [alert]


def first_row(now: int, holds: Callable[[int], bool]) -> int:
    """Go back from `now`, where something holds, to the first of the rows without a break at which it does."""
    return min(takewhile(holds, range(now, 0, -1)), default=now)


def recent(company: Company, lines: Sequence[Line], day: str) -> list[Line]:
    """The lines of the window whose outcome was known on a day."""
    start = (date.fromisoformat(day) - timedelta(days=company.policy["window_days"])).isoformat()
    return list(takewhile(lambda line: line.target > start, known_until(lines, day)))


def covered(company: Company, slug: str, lines: Sequence[Line], naive: Mapping[str, Line]) -> Checked:
    """How often the outcome was in the interval, in the window; the band is what chance allows for so many."""

    def measured(day: str) -> tuple[float, float, int] | None:
        inside = [
            line.low <= line.actual <= line.high
            for line in recent(company, lines, day)
            if line.low is not None and line.high is not None and line.actual is not None
        ]
        if len(inside) < _FEWEST:
            return None
        promised = company.policy["coverage"]
        z = NormalDist().inv_cdf(1 - company.share / 2)
        return fmean(inside), z * math.sqrt(promised * (1 - promised) / len(inside)), len(inside)

    return judged(
        company, slug, lines, "coverage", measured, lambda value: abs(value - company.policy["coverage"])
    )


def accurate(company: Company, slug: str, lines: Sequence[Line], naive: Mapping[str, Line]) -> Checked:
    """The champion's error over that of "as today", on the same origins, in the window."""

    def measured(day: str) -> tuple[float, float, int] | None:
        pairs = [(line, naive[line.origin]) for line in recent(company, lines, day) if line.origin in naive]
        base = math.fsum(abs(other.point - (line.actual or 0.0)) for line, other in pairs)
        if len(pairs) < _FEWEST or not base:
            return None
        error = math.fsum(abs(line.point - (line.actual or 0.0)) for line, _ in pairs)
        return error / base, float(company.policy["max_rel_mae"]), len(pairs)

    return judged(company, slug, lines, "rel_mae", measured, lambda value: value)


def judged(
    company: Company,
    slug: str,
    lines: Sequence[Line],
    kind: str,
    measured: Callable[[str], tuple[float, float, int] | None],
    distance: Callable[[float], float],
) -> Checked:
    """Say what was measured now, and since when it has been too far off, if it is."""
    now = measured(company.day)
    if now is None:
        return {kind: None}, []
    value, bound, count = now
    facts = {kind: rounded(value), f"{kind}_n": count}
    if distance(value) <= bound:
        return facts, []
    targets = sorted(
        {line.target for line in lines if line.actual is not None and line.target <= company.day}
    )

    def holds(row: int) -> bool:
        found = measured(targets[row - 1])
        return found is not None and distance(found[0]) > found[1]

    since = targets[first_row(len(targets), holds) - 1]
    return facts, [Alert("warning", kind, slug, value, bound, since)]


def other_champion(company: Company, slug: str) -> list[Alert]:
    """Whether the newest verdict is another than the one that is followed."""
    found = []
    for horizon, verdict in sorted(company.newest.get(slug, {}).items()):
        ours = company.champion(slug, int(horizon))
        if verdict["champion"] != ours:
            kind = f"other_champion_{horizon}d"
            found.append(Alert("info", kind, slug, str(verdict["champion"]), ours, str(verdict["since"])))
    return found


def groups(company: Company) -> tuple[dict[str, Any], list[Alert]]:
    """Are forecasts too low or too high for some kind of coin: by what is traded, and by age?"""
    start = (date.fromisoformat(company.day) - timedelta(days=company.policy["bias_days"])).isoformat()
    errors: dict[str, dict[str, float]] = {}
    for slug in company.series:
        lines = read_lines(company.backtest, slug, company.champion(slug), 1)
        errors[slug] = {
            line.target: (line.actual - line.point) / line.last
            for line in lines
            if line.actual is not None and start < line.target <= company.day
        }
    bias: dict[str, Any] = {}
    alerts: list[Alert] = []
    for kind, value in (("liquidity", traded), ("age", age)):
        known = {slug: value(company.series[slug]) for slug, found in errors.items() if found}
        for name, members in thirds(known).items():
            said = signed([errors[slug] for slug in members])
            bias.setdefault(kind, {})[name] = {"coins": len(members), **said}
            bound = NormalDist().inv_cdf(1 - company.policy["alpha"] / 12)
            if said["t"] is not None and abs(said["t"]) > bound:
                alerts.append(
                    Alert("warning", f"bias_{kind}", name, said["t"], bound, company.day[:7] + "-01")
                )
    return bias, alerts


def traded(days: Sequence[Day]) -> float:
    """Dollars a day, in the middle of the last 30 that are known; 0 where none is."""
    known = [day.volume for day in days[-30:] if day.volume is not None]
    return median(known) if known else 0.0


def age(days: Sequence[Day]) -> float:
    return float(len(days))


def thirds(values: Mapping[str, float]) -> dict[str, list[str]]:
    """Cut names into the lowest, middle and highest third by value; into none where all are alike."""
    if len(set(values.values())) < 2:
        return {}
    ordered = sorted(values, key=lambda name: (values[name], name))
    cuts = [len(ordered) * k // 3 for k in range(4)]
    parts = zip(("low", "middle", "high"), cuts, cuts[1:], strict=False)
    return {name: ordered[a:b] for name, a, b in parts if a < b}


def signed(errors: Iterable[Mapping[str, float]]) -> dict[str, Any]:
    """The mean signed error, and how sure its sign is: t over days, since coins of one day move together."""
    by_day: dict[str, list[float]] = defaultdict(list)
    for found in errors:
        for day, error in found.items():
            by_day[day].append(error)
    means = [fmean(each) for _, each in sorted(by_day.items())]
    spread = stdev(means) if len(means) > 1 else 0.0
    t = fmean(means) / spread * math.sqrt(len(means)) if spread and len(means) >= _FEWEST else None
    return {"mean": rounded(fmean(means)) if means else None, "days": len(means), "t": rounded(t)}
