"""A small company in files: series, back-tests, champions, forecasts and policies, as earlier stages write them.

Read next: test_decide.py, test_monitor.py, test_store.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from steps.crypto.formats import CHAMPION, FORECAST, SCORE, write_csv, write_json, write_json_lines

POLICIES = Path(__file__).parents[2] / "data" / "policy"
FIRST = date(2017, 1, 1)


def day(number: int) -> str:
    """Return the day so many days after the first."""
    return (FIRST + timedelta(days=number)).isoformat()


class Company:
    """Writes what a stage reads into a folder."""

    def __init__(self, pfs: Path) -> None:
        self.pfs = pfs
        for name in ("trade", "monitor"):
            self.policy(name)
        self.rejected()

    def policy(self, name: str, **changes: Any) -> None:
        """Put the published policy, with changes."""
        content = json.loads((POLICIES / f"{name}.json").read_text())
        write_json(self.pfs / "policy" / f"{name}.json", {**content, **changes})

    def rejected(self, *unreadable: str) -> None:
        """Put what the audit refused: files of three lines without a row of prices."""
        refused = [{"slug": slug, "reason": "unreadable", "rows_in": 3} for slug in unreadable]
        refused.append({"slug": "young", "reason": "short_history", "rows_in": 9})
        content = {"schema": "crypto.rejected/1", "coins": refused}
        write_json(self.pfs / "audit" / "rejected.json", content)

    def coin(
        self,
        slug: str,
        closes: Sequence[float],
        *,
        vol: float = 0.05,
        volume: float | None = 1e6,
        filled: Sequence[int] = (),
    ) -> None:
        """Put a coin's series, a close a day, and its place in the audit."""
        logs = [math.log(close) for close in closes]
        rows = [
            [
                day(n),
                repr(logs[n]),
                repr(logs[n] - logs[n - 1]) if n else "",
                repr(vol),
                "0" if n in filled else "1",
                "" if volume is None or n in filled else repr(volume),
            ]
            for n in range(len(closes))
        ]
        columns = ("date", "log_close", "ret", "vol30", "obs", "volume")
        write_csv(self.pfs / "standardise" / slug / "series.csv", columns, rows)
        write_json(self.pfs / "audit" / "universe" / f"{slug}.json", {"slug": slug, "name": slug.title()})

    def backtest(
        self,
        slug: str,
        model: str,
        closes: Sequence[float],
        say: Callable[[int], float] = lambda n: 1.0,
        width: float = 0.1,
        repo: str = "backtest",
    ) -> None:
        """Put a back-test one day ahead: at each origin the model says `say(n)` times the close."""
        lines = [
            {
                "coin": slug,
                "origin": day(n),
                "target": day(n + 1),
                "h": 1,
                "model": model,
                "last": close,
                "yhat": close * say(n),
                "lo80": close * say(n) * (1 - width),
                "hi80": close * say(n) * (1 + width),
                "actual": closes[n + 1] if n + 1 < len(closes) else None,
                "obs": int(n + 1 < len(closes)),
            }
            for n, close in enumerate(closes)
        ]
        write_json_lines(self.pfs / repo / slug / f"{model}.jsonl", lines)

    def champion(
        self,
        slug: str,
        model: str,
        since: int = 0,
        repo: str = "champions",
        before: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Put the verdict on a coin, the same at both horizons; `before` are who was champion earlier, since when."""
        reigns = [{"since": day(n), "champion": each} for n, each in [*before, (since, model)]]
        ruling = {**reigns[-1], "decision": "promote", "reigns": reigns}
        write_json(
            self.pfs / repo / "champions" / f"{slug}.json",
            {"schema": CHAMPION, "slug": slug, "h": {"1": ruling, "10": ruling}},
        )

    def forecast(
        self, slug: str, last: float, point: float, low: float, origin: int = 0, **more: Any
    ) -> None:
        """Put a forecast one day ahead."""
        step = {
            "h": 1,
            "date": day(origin + 1),
            "point": point,
            "lo80": low,
            "hi80": point * 1.1,
            "model": "m.1",
        }
        write_json(
            self.pfs / "predict" / f"{slug}.json",
            {
                "schema": FORECAST,
                "slug": slug,
                "name": slug.title(),
                "origin": day(origin),
                "last": last,
                "status": "ok",
                "forecast": [{**step, "model_commit": "c0ffee"}],
                **more,
            },
        )

    def score(self, slug: str, **models: dict[str, Any]) -> None:
        """Put a coin's scores one day ahead by model (`naive_last` is naive.last)."""
        judged = {
            name.replace("_", "."): {"status": "ok", "params": {}, "horizons": {"1": values}}
            for name, values in models.items()
        }
        write_json(self.pfs / "score" / f"{slug}.json", {"schema": SCORE, "slug": slug, "models": judged})


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]
