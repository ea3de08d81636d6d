"""Gather every forecast into one page, a plot for each coin, and a summary for programs.

Each coin that came in goes out: with its forecast, or with the reason why it has none. Where the prices came
with a notice (SYNTHETIC.txt), the page, each plot and the summary carry it.

Read next: outlook.py (one coin, read), page.py and standing.py (index.html), plots.py (the PNGs).
"""

from __future__ import annotations

from pathlib import Path

from pachlet.step import main
from steps.crypto.formats import number_text, read_json, write_csv, write_json
from steps.crypto.outlook import HORIZONS, Coin, read_coins
from steps.crypto.page import render_page
from steps.crypto.plots import draw_coin, draw_overview
from steps.crypto.standing import sections

SUMMARY_COLUMNS = (
    "slug",
    "name",
    "status",
    "reason",
    "origin",
    "last",
    *(f"{name}_{h}d" for h in HORIZONS for name in ("point", "lo80", "hi80", "model")),
)


def run(inputs: Path, out: Path) -> None:
    """Write the report on all coins."""
    totals = read_json(inputs / "audit" / "totals.json", "crypto.totals/1")
    coins = read_coins(inputs)
    notices = [str(notice["text"]) for notice in totals["notices"]]
    label = label_of(notices)
    forecast = [coin for coin in coins if coin.steps]
    for coin in forecast:
        draw_coin(coin, label, out / "png" / f"{coin.slug}.png")
    sheet = b""
    if forecast:
        draw_overview(forecast, label, out / "overview.png")
        sheet = (out / "overview.png").read_bytes()
    page = render_page(coins, totals, notices, label, sections(inputs), sheet)
    (out / "index.html").write_text(page, encoding="utf-8", newline="\n")
    write_json(out / "summary.json", summary(coins, notices, label))
    write_csv(out / "summary.csv", SUMMARY_COLUMNS, (summary_cells(coin) for coin in coins))


def label_of(notices: list[str]) -> str:
    """Shorten the notices to a label for plots: what stands before the first colon or full stop."""
    return " · ".join(notice.split("\n")[0].split(":")[0].split(".")[0][:40] for notice in notices)


def summary(coins: list[Coin], notices: list[str], label: str) -> dict[str, object]:
    """Say for programs what the page says for people."""
    return {
        "schema": "crypto.summary/1",
        "label": label,
        "notices": notices,
        "coins": [summary_entry(coin) for coin in coins],
    }


def summary_entry(coin: Coin) -> dict[str, object]:
    """One coin of the summary."""
    entry: dict[str, object] = {
        "slug": coin.slug,
        "name": coin.name,
        "status": coin.status,
        "origin": coin.origin,
        "last": coin.last,
        "forecast": {
            str(step.h): {
                "date": step.day.isoformat(),
                "point": step.point,
                "lo80": step.lo80,
                "hi80": step.hi80,
                "model": step.model,
            }
            for step in coin.steps
            if step.h in HORIZONS
        },
    }
    if coin.steps:
        return entry | {"plot": f"png/{coin.slug}.png"}
    return entry | {"reason": coin.reason, "detail": coin.detail}


def summary_cells(coin: Coin) -> list[str]:
    """One row of summary.csv; what a skipped coin lacks is empty."""
    cells = [coin.slug, coin.name, coin.status, coin.reason, coin.origin, number_text(coin.last)]
    for h in HORIZONS:
        step = coin.step(h)
        cells += [repr(step.point), repr(step.lo80), repr(step.hi80), step.model] if step else [""] * 4
    return cells


if __name__ == "__main__":
    main(run)
