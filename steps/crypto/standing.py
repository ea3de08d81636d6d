"""The report's part on the company: how the models stand, what the monitor sees, what would be done, what it brought.

Each section is there if its stage's output is, and says in a sentence how to read it. Curves are drawn inside the page,
so that the file needs nothing beside it.

Read next: page.py (the rest of the page), compare.py, monitor.py, decide.py, ledger.py (whose files these are).
"""

from __future__ import annotations

import csv
import json
import math
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from steps.crypto.formats import read_json
from steps.crypto.pricetext import change_text, price_text
from steps.crypto.wording import held_words

_WIDTH, _HEIGHT = 760, 190
_SEVERITIES = {"error": "#a3341b", "warning": "#b07708", "info": "#6b7785"}

_LEADERBOARD = """<p>Each model’s mean absolute error over that of “as today” on the same days, none of which it had
seen: the median over coins; below 1 is better than doing nothing. Beside it on how many coins it is better, the worst
coin, how often the 80 % interval held, and how often the direction was right with the share of the commoner direction
behind it, which anybody gets. <i>Example</i> marks a recipe that is kept to show what the evaluation rejects.
<b>Gated</b> is what following the verdicts from the first day on would have been worth.</p>"""
_DECISIONS = """<p>On paper: no part of this system can place an order. A coin is bought where the forecast is worth its
fee and a margin, its interval does not reach too low, and enough of it is traded.</p>"""
_LEDGER = """<p>What following the decisions on past days would have brought, fees included, each by a forecast that did
not know what came, with the champion of that day. The grey line is all coins bought on the first day and kept. The
coins are those that were still there at the end, so both lines are flattered.</p>"""


def sections(inputs: Path) -> list[str]:
    """Return the parts of the page that the inputs are there for."""
    parts: list[str] = []
    for path, show in (
        (inputs / "compare" / "summary.json", leaderboard),
        (inputs / "monitor" / "report.json", monitored),
        (inputs / "decide", decided),
        (inputs / "ledger" / "summary.json", ledger),
    ):
        if path.exists():
            parts += show(inputs)
    return parts


def leaderboard(inputs: Path) -> list[str]:
    """A row for each parameter file, best first, and the one of the gate."""
    found = read_json(inputs / "compare" / "summary.json", "crypto.leaderboard/1")
    horizons = sorted({h for model in found["models"] for h in model["h"]} | set(found["gated"]), key=int)
    head = [
        "Model",
        *(text for h in horizons for text in (f"Error, {h} d", "better", "worst", "80 %", "direction")),
    ]
    rows = [
        [name_of(model), *(cell for h in horizons for cell in standing(model["h"].get(h)))]
        for model in found["models"]
    ]
    gate = [cell for h in horizons for cell in gated(found["gated"].get(h))]
    counted = f'<p class="day">{found["counted"]} of {found["coins"]} coins are old enough to count.</p>'
    return [
        "<h2>How the models stand</h2>",
        _LEADERBOARD,
        table(head, [["<b>Gated</b>", *gate], *rows]),
        counted,
        *(
            picture(inputs / "compare" / "comparison" / f"{h}d.png", f"All models, {h} d ahead")
            for h in horizons
        ),
    ]


def picture(path: Path, says: str) -> str:
    """A picture inside the page; nothing where there is none."""
    if not path.is_file():
        return ""
    held = b64encode(path.read_bytes()).decode()
    return f'<p style="max-width: none"><img src="data:image/png;base64,{held}" alt="{escape(says)}"></p>'


def name_of(model: dict[str, Any]) -> str:
    kinds = ", ".join(word for word in ("global", "example") if model[word])
    return escape(model["model"]) + (f" <i>{kinds}</i>" if kinds else "")


def standing(values: dict[str, Any] | None) -> list[str]:
    """The cells of one model at one horizon."""
    if values is None:
        return ["–"] * 5
    direction = f'{percent(values["dir"])} <span class="day">{percent(values["dir_majority"])}</span>'
    worst = f"{values['worst']:.3f}"
    return [
        f"{values['rel_mae']:.3f}",
        percent(values["beats_naive"]),
        worst,
        percent(values["cov80"]),
        direction,
    ]


def gated(values: dict[str, Any] | None) -> list[str]:
    if values is None or values["rel_mae"] is None:
        return ["–"] * 5
    return [f"{values['rel_mae']:.3f}", "–", f"{values['worst']:.3f}", "–", "–"]


def monitored(inputs: Path) -> list[str]:
    """What somebody should look at, gravest first."""
    lines = (inputs / "monitor" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    alerts = [json.loads(line) for line in lines]
    day = read_json(inputs / "monitor" / "report.json", "crypto.monitored/1")["day"]
    known = f"Data up to {escape(day)}" if day else "There is no coin to look at"
    title = f"<h2>What the monitor sees</h2>\n<p>{known}; "
    if not alerts:
        return [f"{title}nothing that somebody should look at.</p>"]
    head = ["Severity", "What", "Coin", "Since", "Value", "Limit", "Id"]
    rows = [
        [
            f'<b style="color: {_SEVERITIES[each["severity"]]}">{each["severity"]}</b>',
            escape(each["kind"].replace("_", " ")),
            escape(each["slug"]),
            escape(each["since"]),
            shown(each["value"]),
            shown(each["limit"]),
            f'<span class="day">{each["id"]}</span>',
        ]
        for each in alerts
    ]
    return [f"{title}{len(alerts)} to look at.</p>", table(head, rows, texts=4)]


def decided(inputs: Path) -> list[str]:
    """What would be bought or sold today; what is held is counted."""
    made = [read_json(path, "crypto.decision/1") for path in sorted((inputs / "decide").glob("*.json"))]
    told = [each for each in made if each["status"] == "ok"]
    held = [each["reason"] for each in told if each["action"] == "hold"]
    counts = [f"{held.count(reason)} because {held_words(reason)}" for reason in sorted(set(held))]
    parts = ["<h2>Decisions</h2>", _DECISIONS]
    active = [each for each in told if each["action"] != "hold"]
    if active:
        head = ["Coin", "Action", "Model", "Last price", "Expected", "Cost", "Down to", "Weight"]
        parts.append(table(head, [action(each) for each in active], texts=3))
    others = f"; nothing is done with the others: {', '.join(counts)}" if counts else ""
    return [*parts, f'<p class="day">{len(active)} of {len(told)} coins to buy or sell{escape(others)}.</p>']


def action(made: dict[str, Any]) -> list[str]:
    return [
        escape(made["name"]),
        f"<b>{made['action']}</b>",
        escape(made["model"]),
        price_text(made["last"]),
        change_text(made["expected_gross"]),
        percent(made["cost"], 2),
        change_text(made["downside"]) if made["downside"] is not None else "–",
        percent(made["target_weight"]),
    ]


def ledger(inputs: Path) -> list[str]:
    """The curve of what there would be, and its numbers."""
    found = read_json(inputs / "ledger" / "summary.json", "crypto.ledger/1")
    with (inputs / "ledger" / "equity.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = ["<h2>The ledger, on paper</h2>", _LEDGER]
    if len(rows) > 1:
        parts.append(curves([float(r["equity"]) for r in rows], [float(r["buy_and_hold"]) for r in rows]))
    head = ["", "Return", "Deepest fall", "Trades", "Fees"]
    kept = found["buy_and_hold"]
    ours = [f"{found['trades']:,}", f"{found['fees']:,.2f}"]
    numbers = [
        ["decisions", change_text(found["return"]), change_text(found["max_drawdown"]), *ours],
        ["bought and kept", change_text(kept["return"]), change_text(kept["max_drawdown"]), "–", "–"],
    ]
    span = f"{found['first']} to {found['last']}, {found['days']} days" if found["days"] else "no day yet"
    return [*parts, table(head, numbers), f'<p class="day">{escape(span)}.</p>']


def curves(ours: Sequence[float], kept: Sequence[float]) -> str:
    """Draw two curves of money on a log scale."""
    logs = [[math.log(value) for value in values] for values in (kept, ours)]
    bottom, top = min(map(min, logs)), max(map(max, logs))
    scale, across = (_HEIGHT - 8) / (top - bottom or 1.0), _WIDTH / (len(ours) - 1)

    def line(values: Sequence[float], color: str, width: float) -> str:
        points = " ".join(
            f"{i * across:.1f},{_HEIGHT - 4 - (v - bottom) * scale:.1f}" for i, v in enumerate(values)
        )
        return (
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}" '
            'stroke-linejoin="round"/>'
        )

    lines = line(logs[0], "#b4bdc7", 1.4) + line(logs[1], "#c8511b", 2.0)
    label = f"From {ours[0]:,.0f} to {ours[-1]:,.0f}; bought and kept: {kept[-1]:,.0f}"
    return (
        f'<svg width="100%" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}" '
        f'style="max-width: {_WIDTH}px">{lines}</svg>'
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Return a table of ready-made cells, of which the first `texts` of a row are words."""

    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="text"' if place < texts else "" for place in range(len(cells))]
        return "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    top = f"<thead><tr>{row(head, 'th')}</tr></thead>"
    return f'<div class="scroll"><table>\n{top}\n<tbody>\n{body}\n</tbody>\n</table></div>'


def percent(share: float | None, digits: int = 0) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def shown(value: object) -> str:
    """A number with four digits that count, or a word."""
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
