"""Write the report's page: one HTML file that needs nothing else to be read.

Each row has its own small drawing inside the page, and the sheet of all coins is in it too, so that the file can be
sent by itself; the plots beside it (png/, overview.png) are linked for a closer look. All text from the data is
escaped.

Read next: outlook.py (what is shown), report.py (who asks).
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from steps.crypto.outlook import HORIZONS, Coin, Step
from steps.crypto.pricetext import change_text, price_text
from steps.crypto.wording import reason_words, row_words, rows_copied, rows_unreadable

_WIDTH, _HEIGHT, _DAYS = 112, 30, 60

_STYLE = """
:root { --ink: #1d2733; --muted: #6b7785; --line: #e4e9ee;
  --history: #27496d; --band: #f4a259; --point: #c8511b }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1320px; padding: 40px 28px 64px; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em }
h2 { font-size: 19px; margin: 44px 0 10px }
p { max-width: 74ch; margin: 6px 0 }
.lead { color: var(--muted); font-size: 16px }
.notice { border-left: 4px solid #a3341b; background: #fdf1ee; color: #7c2513; padding: 10px 16px;
  margin: 20px 0; font-weight: 600; white-space: pre-line; max-width: none }
.facts { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 8px; padding: 0; list-style: none }
.facts li { border: 1px solid var(--line); border-radius: 10px; padding: 10px 18px 9px; min-width: 128px }
.facts b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums }
.facts span { color: var(--muted); font-size: 13px }
.scroll { overflow-x: auto; margin-top: 14px }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th { text-align: right; font-weight: 600; color: var(--muted); font-size: 12.5px; padding: 6px 7px;
  border-bottom: 2px solid var(--line); vertical-align: bottom; white-space: nowrap }
td { text-align: right; padding: 5px 7px; border-bottom: 1px solid var(--line); white-space: nowrap }
th.text, td.text { text-align: left }
tbody tr:hover { background: #f7f9fb }
td.coin { font-weight: 600 } td.wrap { white-space: normal }
td.range, td.model, .day { color: var(--muted); font-size: 12.5px }
td.point { font-weight: 600 } td.group, th.group { border-left: 1px solid var(--line) }
a { color: inherit; text-decoration: underline; text-decoration-color: #b4bdc7; text-underline-offset: 3px }
a:hover { text-decoration-color: currentColor }
svg { display: block } img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 10px }
.history { fill: none; stroke: var(--history); stroke-width: 1.2; stroke-linejoin: round }
.band { fill: var(--band); opacity: .4 } .path { fill: none; stroke: var(--point); stroke-width: 1.8 }
"""

_READING = """<p>The interval is where the price should be in four of five cases, judged by how far off the same
model was on past days that it had not seen; a young coin has few such days, so its interval leans on the usual
rule (one-day errors times the root of the days). One model makes a coin’s whole path: the naive one (“as today”),
unless on such days another beat it by more than chance one or ten days ahead and did not lose to it at the other,
which few do. <b>Error</b> is the shown model’s mean absolute error one and ten days ahead as a share of the naive
one’s.
A list of coins drawn up
at the end of its own history, as the published one was, holds the winners: every past score on it is flattered.
None of this is advice.</p>"""


def render_page(
    coins: Sequence[Coin],
    totals: Mapping[str, Any],
    notices: Sequence[str],
    label: str,
    sections: Sequence[str] = (),
    sheet: bytes = b"",
) -> str:
    """Return the whole page; `sections` are those on the company, `sheet` the picture of all coins as PNG."""
    shown = [coin for coin in coins if coin.steps]
    others = [coin for coin in coins if not coin.steps]
    title = f"Forecasts for {_count(len(shown), 'coin')}"
    origin = usual_origin(shown)
    known = f"Prices up to {escape(origin)}, " if origin else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(f'{label}: ' if label else '')}{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        f"<h1>{title}</h1>",
        f'<p class="lead">{known}one and ten days ahead with 80 % intervals.</p>',
        *(f'<p class="notice">{escape(notice)}</p>' for notice in notices),
        _facts(shown, others, totals),
    ]
    if shown:
        parts += ["<h2>Forecasts</h2>", _READING, _forecast_table(shown, origin)]
    if others:
        parts += ["<h2>Coins without a forecast</h2>", _skipped_table(others)]
    parts += sections
    parts += ["<h2>What ingest found</h2>", _audit_table(totals)]
    if shown:
        picture = f"data:image/png;base64,{b64encode(sheet).decode()}"
        alt = "Every coin’s recent prices and forecast"
        linked = f'<a href="overview.png"><img src="{picture}" alt="{alt}"></a>'
        parts += ["<h2>All coins on one sheet</h2>", f"<p>{linked}</p>"]
    return "\n".join([*parts, "</body>\n</html>\n"])


def _facts(shown: Sequence[Coin], others: Sequence[Coin], totals: Mapping[str, Any]) -> str:
    beaten = sum(not coin.steps[0].model.startswith("naive") for coin in shown)
    facts = [
        (len(shown), "coins forecast"),
        (len(others), "without a forecast"),
        (beaten, "by another model than naive"),
        (totals["rows_total"], "rows read"),
        (rows_unreadable(totals), "unreadable rows left out"),
    ]
    if copied := rows_copied(totals):
        facts.append((copied, "rows left out: a copied file"))
    return "".join(
        [
            '<ul class="facts">',
            *(f"<li><b>{number:,}</b><span>{text}</span></li>" for number, text in facts),
            "</ul>",
        ]
    )


def usual_origin(coins: Sequence[Coin]) -> str:
    """Return the last day that most coins share; a coin with another says so in its row."""
    counts = Counter(coin.origin for coin in coins)
    return max(counts, key=lambda origin: (counts[origin], origin), default="")


def _forecast_table(coins: Sequence[Coin], origin: str) -> str:
    groups = "".join(
        f'<th class="group">{_count(h, "day")}</th><th></th><th>80 % interval</th>' for h in HORIZONS
    )
    head = (
        '<th class="text">Coin</th><th class="text">60 days, fan</th><th>Last price</th>'
        f'{groups}<th class="text group">Model</th><th>Error, 1 · 10 d</th>'
    )
    rows = "\n".join(_forecast_row(coin, origin) for coin in coins)
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    others = ", ".join(f"{escape(c.name)} {escape(c.origin)}" for c in coins if c.origin != origin)
    note = f'<p class="day">† last price of another day: {others}</p>' if others else ""
    return f'<div class="scroll">{table}</div>\n{note}'


def _forecast_row(coin: Coin, origin: str) -> str:
    last = coin.last or coin.history[-1][1]
    other_day = "†" if coin.origin != origin else ""
    cells = [
        f'<td class="text coin"><a href="png/{escape(coin.slug)}.png">{escape(coin.name)}</a></td>',
        f'<td class="text">{sparkline(coin)}</td>',
        f"<td>{other_day} {price_text(last)}</td>",
    ]
    for h in HORIZONS:
        cells.append(_step_cells(coin.step(h), last))
    names = dict.fromkeys(step.model for step in coin.steps)
    error = " · ".join(f"{coin.rel_mae[h]:.3f}" if h in coin.rel_mae else "–" for h in HORIZONS)
    cells.append(
        f'<td class="text model group">{escape(" · ".join(names))}</td><td class="range">{error}</td>'
    )
    return f"<tr>{''.join(cells)}</tr>"


def _step_cells(step: Step | None, last: float) -> str:
    if step is None:
        return '<td class="group">–</td><td></td><td></td>'
    return (
        f'<td class="point group">{price_text(step.point)}</td>'
        f'<td class="range">{change_text(step.point / last - 1)}</td>'
        f'<td class="range">{price_text(step.lo80)} – {price_text(step.hi80)}</td>'
    )


def sparkline(coin: Coin) -> str:
    """Draw the last days and the fan in the row, on a log scale."""
    past = [math.log(price) for _, price in coin.history[-_DAYS:]]
    lows, points, highs = (
        [past[-1], *(math.log(price) for price in prices)]
        for prices in zip(*((s.lo80, s.point, s.hi80) for s in coin.steps), strict=True)
    )
    bottom, top = min(past + lows), max(past + highs)
    scale = (_HEIGHT - 2) / (top - bottom or 1.0)
    across = _WIDTH / (len(past) + len(coin.steps) - 1)

    def path(start: int, values: Sequence[float]) -> list[str]:
        return [
            f"{(start + i) * across:.1f},{_HEIGHT - 1 - (v - bottom) * scale:.1f}"
            for i, v in enumerate(values)
        ]

    today = len(past) - 1
    band = path(today, highs) + path(today, lows)[::-1]
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" aria-hidden="true">'
        f'<polygon class="band" points="{" ".join(band)}"/>'
        f'<polyline class="history" points="{" ".join(path(0, past))}"/>'
        f'<polyline class="path" points="{" ".join(path(today, points))}"/></svg>'
    )


def _skipped_table(coins: Sequence[Coin]) -> str:
    head = '<th class="text">Coin</th><th class="text">Reason</th><th class="text">In words</th><th>Last day</th>'
    rows = "\n".join(
        f'<tr><td class="text coin">{escape(coin.name)}</td><td class="text">{escape(reason_words(coin.reason))}</td>'
        f'<td class="text wrap">{escape(coin.detail)}</td><td class="day">{escape(coin.origin)}</td></tr>'
        for coin in coins
    )
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _audit_table(totals: Mapping[str, Any]) -> str:
    counts = [
        ("rows read", totals["rows_total"]),
        ("rows kept", totals["rows_after_quarantine"]),
        ("rows left out", totals["rows_quarantined"]),
        *((f"repaired: {row_words(code)}", n) for code, n in sorted(totals["rows_repaired"].items())),
        *((f"odd, but kept: {row_words(code)}", n) for code, n in sorted(totals["rows_flagged"].items())),
        *(
            (f"left out: {row_words(code)}", n)
            for code, n in sorted(totals["rows_quarantined_by_code"].items())
        ),
        *[("left out: rows of a file that is a copy of another", n) for n in [rows_copied(totals)] if n],
        *((f"{file}: {why}", "whole file") for file, why in sorted(totals["files_quarantined"].items())),
    ]
    rows = "\n".join(
        f'<tr><td class="text wrap">{escape(text)}</td><td>{f"{n:,}" if isinstance(n, int) else n}</td></tr>'
        for text, n in counts
    )
    return f'<div class="scroll"><table style="max-width: 640px">\n<tbody>\n{rows}\n</tbody>\n</table></div>'


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
