"""The report shows every coin that came in, says what is synthetic, and is the same bytes each time.

Read next: ../../steps/crypto/report.py.
"""

from __future__ import annotations

import base64
import csv
import json
import math
import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from pachlet.step import BadInput
from steps.crypto import outlook, plots, report
from steps.crypto.pricetext import change_text, price_text, tick_text

ORIGIN = date(2017, 9, 22)
NOTICE = {"file": "SYNTHETIC.txt", "text": "SYNTHETIC DATA: made up."}


def put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def put_audit(pfs: Path, *, notices: tuple[dict[str, str], ...] = (), rejected: int = 0) -> None:
    zero = {"rows_total": 300, "rows_after_quarantine": 299, "rows_quarantined": 1}
    counts: dict[str, Any] = {"rows_repaired": {"date_long_month": 4}, "rows_flagged": {}}
    quarantined = {"rows_quarantined_by_code": {"NCOLS": 1}, "files_quarantined": {}}
    totals = {"schema": "crypto.totals/1", "notices": list(notices), **zero, **counts, **quarantined}
    put(pfs / "audit" / "totals.json", totals)
    short = {"slug": "young", "name": "Young <b>", "file": "Young.csv", "status": "skipped", "rows_in": 9}
    short |= {
        "rows_ok": 9,
        "last": "2017-09-20",
        "last_close": 2.0,
        "reason": "short_history",
        "detail": "9 rows",
    }
    put(pfs / "audit" / "rejected.json", {"schema": "crypto.rejected/1", "coins": [short] * rejected})


def put_coin(pfs: Path, slug: str, price: float = 100.0, *, status: str = "ok", **changes: float) -> None:
    put(
        pfs / "audit" / "universe" / f"{slug}.json",
        {
            "schema": "crypto.universe/1",
            "slug": slug,
            "name": slug.title(),
            "file": f"{slug}.csv",
            "rows": 90,
        },
    )
    days = [ORIGIN - timedelta(days=89 - i) for i in range(90)]
    rows = [
        f"{day},{math.log(price) + math.sin(i) / 9 - math.sin(89) / 9!r},,,{int(i % 30 != 5)}"
        for i, day in enumerate(days)
    ]
    series = pfs / "standardise" / slug / "series.csv"
    series.parent.mkdir(parents=True)
    series.write_text("\n".join(["date,log_close,ret,vol30,obs", *rows]) + "\n")

    def forecast(model: str, drift: float) -> list[dict[str, object]]:
        return [
            {
                "h": h,
                "date": (ORIGIN + timedelta(days=h)).isoformat(),
                "point": price * math.exp(drift * h),
                "lo80": price * math.exp(drift * h - 0.1 * math.sqrt(h)),
                "hi80": price * math.exp(drift * h + 0.1 * math.sqrt(h)),
                "model": model,
            }
            | changes
            for h in range(1, 11)
        ]

    shown = forecast("svm.rbf1", 0.01) if status == "ok" else []
    put(
        pfs / "predict" / f"{slug}.json",
        {
            "schema": "crypto.forecast/2",
            "slug": slug,
            "name": slug.title(),
            "origin": ORIGIN.isoformat(),
            "last": price,
            "status": status,
            "forecast": shown,
            "candidates": [
                {
                    "model": "svm.rbf1",
                    "status": "ok",
                    "scores": {"1": {"rel_mae": 0.987}},
                    "forecast": shown,
                },
                {
                    "model": "naive.last",
                    "status": "ok",
                    "scores": {},
                    "forecast": forecast("naive.last", 0),
                },
                {"model": "lstm.small", "status": "skipped", "reason": "short_history"},
            ],
        }
        | ({} if status == "ok" else {"reason": "no_naive_model"}),
    )


def run(pfs: Path) -> Path:
    out = pfs / "out"
    out.mkdir()
    report.run(pfs, out)
    return out


def summary_of(out: Path) -> dict[str, Any]:
    return {coin["slug"]: coin for coin in json.loads((out / "summary.json").read_text())["coins"]}


def test_every_coin_that_came_in_goes_out(tmp_path: Path) -> None:
    put_audit(tmp_path, rejected=1)
    put_coin(tmp_path, "alpha")
    put_coin(tmp_path, "beta", 3e-7)
    put_coin(tmp_path, "gamma", status="skipped")
    put_coin(tmp_path, "lost")
    (tmp_path / "predict" / "lost.json").unlink()
    out = run(tmp_path)
    coins = summary_of(out)
    assert {slug: coin["status"] for slug, coin in coins.items()} == {
        "alpha": "ok",
        "beta": "ok",
        "gamma": "skipped",
        "lost": "missing",
        "young": "skipped",
    }
    assert [coins[slug]["reason"] for slug in ("gamma", "lost", "young")] == [
        "no_naive_model",
        "no_forecast",
        "short_history",
    ]
    assert sorted(path.stem for path in (out / "png").iterdir()) == ["alpha", "beta"]
    page = (out / "index.html").read_text()
    assert all(
        name in page
        for name in ("Alpha", "Beta", "Gamma", "Lost", "Young", "too short a history", "no forecast was")
    )


def test_summaries_hold_both_horizons_with_intervals_and_model(tmp_path: Path) -> None:
    put_audit(tmp_path, rejected=1)
    put_coin(tmp_path, "alpha")
    out = run(tmp_path)
    ahead = summary_of(out)["alpha"]["forecast"]
    assert ahead.keys() == {"1", "10"}
    assert ahead["10"]["date"] == "2017-10-02"
    assert ahead["10"]["lo80"] < ahead["10"]["point"] < ahead["10"]["hi80"]
    with (out / "summary.csv").open(newline="") as file:
        alpha, young = csv.DictReader(file)
    assert (alpha["model_1d"], float(alpha["point_10d"])) == ("svm.rbf1", ahead["10"]["point"])
    assert (young["status"], young["reason"], young["point_1d"]) == ("skipped", "short_history", "")


def test_the_one_model_of_a_path_is_named_for_all_its_days(tmp_path: Path) -> None:
    put_audit(tmp_path)
    put_coin(tmp_path, "alpha")
    (coin,) = outlook.read_coins(tmp_path)
    assert "forecast for all 10 days by svm.rbf1  ·  dashed: the other models" in plots._subtitle(coin)
    page = (run(tmp_path) / "index.html").read_text()
    # Its error one day ahead is known, the one ten days ahead is not.
    assert '>svm.rbf1</td><td class="range">0.987 · –</td>' in page
    assert "<b>1</b><span>by another model than naive</span>" in page


def test_notice_is_shown_wherever_the_data_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []

    def draw(_: object, label: str, path: Path) -> None:
        labels.append(label)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    monkeypatch.setattr(report, "draw_coin", draw)
    monkeypatch.setattr(report, "draw_overview", draw)
    put_audit(tmp_path, notices=(NOTICE,))
    put_coin(tmp_path, "alpha")
    out = run(tmp_path)
    assert labels == ["SYNTHETIC DATA"] * 2
    page = (out / "index.html").read_text()
    assert "<title>SYNTHETIC DATA: " in page
    assert '<p class="notice">SYNTHETIC DATA: made up.</p>' in page
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["label"], summary["notices"]) == ("SYNTHETIC DATA", ["SYNTHETIC DATA: made up."])


def test_every_line_of_the_close_up_is_named_in_its_own_colour(tmp_path: Path) -> None:
    put_audit(tmp_path)
    put_coin(tmp_path, "alpha")
    (coin,) = outlook.read_coins(tmp_path)
    others = dict.fromkeys(("linear.ridge", "lstm.small", "naive.last"), coin.others["naive.last"])
    axes = Figure().add_axes((0, 0, 1, 1))
    plots._draw_others(axes, replace(coin, others=others))
    dashed = [line.get_color() for line in axes.lines]
    plots._label_ends(axes, replace(coin, others=others))
    named = {text.get_text().split()[0]: text.get_color() for text in axes.texts}
    assert [named[name] for name in others] == dashed
    assert len(set(dashed)) == 3
    assert named[price_text(coin.steps[-1].point)] == plots.POINT


def test_model_keeps_its_colour_whichever_is_shown(tmp_path: Path) -> None:
    put_audit(tmp_path)
    put_coin(tmp_path, "alpha")
    (coin,) = outlook.read_coins(tmp_path)
    (naive,) = coin.others.values()
    swapped = replace(coin, steps=naive, others={"svm.rbf1": coin.steps, "linear.ridge": naive})
    with_linear = replace(coin, others=coin.others | {"linear.ridge": naive})
    assert plots.other_colors(with_linear)["linear.ridge"] == plots.other_colors(swapped)["linear.ridge"]


@given(st.lists(st.floats(0, 1), max_size=9).map(sorted))
def test_labels_are_pushed_apart_and_no_further(heights: list[float]) -> None:
    placed = plots.pushed_apart(heights, 0.05)
    assert all(above - below >= 0.05 - 1e-9 for below, above in pairwise(placed))
    assert sum(placed) == pytest.approx(sum(heights))
    if all(above - below >= 0.05 for below, above in pairwise(heights)):
        assert placed == pytest.approx(heights)


def test_label_changes_the_plots(tmp_path: Path) -> None:
    plots = []
    for number, notices in enumerate([(), (NOTICE,)]):
        pfs = tmp_path / str(number)
        put_audit(pfs, notices=notices)
        put_coin(pfs, "alpha")
        out = run(pfs)
        plots.append([(out / name).read_bytes() for name in ("png/alpha.png", "overview.png")])
    assert plots[0][0] != plots[1][0]
    assert plots[0][1] != plots[1][1]


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for number in "12":
        pfs = tmp_path / number
        put_audit(pfs, rejected=1)
        put_coin(pfs, "alpha")
        put_coin(pfs, "beta", 0.05)
        out = run(pfs)
        made.append({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()})
    assert made[0] == made[1]
    png = made[0][Path("png/alpha.png")]
    assert png.startswith(b"\x89PNG")
    assert not re.search(rb"tEXt|tIME|[Mm]atplotlib", png)


class Tags(HTMLParser):
    """Collect what a page refers to, and whether its tags match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links |= {str(value) for name, value in attrs if name in ("href", "src")}
        if tag not in ("meta", "img", "polygon", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_page_stands_alone_and_is_well_formed(tmp_path: Path) -> None:
    put_audit(tmp_path, rejected=1)
    put_coin(tmp_path, "alpha")
    out = run(tmp_path)
    tags = Tags()
    tags.feed((out / "index.html").read_text())
    assert tags.open == []
    drawn = {link for link in tags.links if link.startswith("data:image/png;base64,")}
    assert [base64.b64decode(link.partition(",")[2]) for link in drawn] == [
        (out / "overview.png").read_bytes()
    ]
    assert tags.links - drawn == {"png/alpha.png", "overview.png"}
    assert all((out / link).is_file() for link in tags.links - drawn)
    page = (out / "index.html").read_text()
    assert "<svg" in page
    assert "Young &lt;b&gt;" in page


def test_report_without_any_forecast_still_says_why(tmp_path: Path) -> None:
    put_audit(tmp_path, rejected=1)
    out = run(tmp_path)
    assert "9 rows" in (out / "index.html").read_text()
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "summary.csv", "summary.json"]


NO_PRICE = r"svm\.rbf1 for 2017-09-23 is no positive price"


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"point": -1.0}, NO_PRICE),
        ({"lo80": 1e9}, NO_PRICE),
        ({"hi80": math.inf}, r"alpha\.json is not JSON \(Infinity is no number\)"),
    ],
)
def test_forecast_that_is_no_price_is_refused(tmp_path: Path, changes: dict[str, float], said: str) -> None:
    put_audit(tmp_path)
    put_coin(tmp_path, "alpha", **changes)
    with pytest.raises(BadInput, match=said):
        run(tmp_path)


def test_prices_are_written_for_people() -> None:
    assert [price_text(p) for p in (123456.7, 3630.7, 48.09, 2.5, 0.048257, 5.8e-7)] == [
        "123,457",
        "3,630.70",
        "48.09",
        "2.500",
        "0.04826",
        "5.8e-07",
    ]
    assert [tick_text(p) for p in (5000.0, 0.05, 2e-7)] == ["5,000", "0.05", "2e-07"]
    assert [change_text(c) for c in (0.0123, -0.0123, -0.0001, 0.0)] == ["+1.2 %", "−1.2 %", "0.0 %", "0.0 %"]


def test_rows_of_a_copy_are_not_counted_as_bad_ones(tmp_path: Path) -> None:
    put_audit(tmp_path)
    path = tmp_path / "audit" / "totals.json"
    totals = json.loads(path.read_text()) | {"rows_quarantined": 101}
    totals |= {"rows_repaired": {"marketcap_dash_to_null": 4}, "files_quarantined": {"B.csv": "as A.csv"}}
    copy = {"slug": "b", "name": "B", "status": "skipped", "last": None, "last_close": None}
    copy |= {"reason": "duplicate_of:a", "detail": "as A.csv"}
    put(path, totals)
    put(tmp_path / "audit" / "rejected.json", {"schema": "crypto.rejected/1", "coins": [copy]})
    (tmp_path / "out").mkdir()
    report.run(tmp_path, tmp_path / "out")
    text = (tmp_path / "out" / "index.html").read_text()
    assert "<b>1</b><span>unreadable rows left out</span>" in text
    assert "<b>100</b><span>rows left out: a copied file</span>" in text
    assert "repaired: a dash for the market cap, taken as unknown" in text
    assert "left out: too few or too many cells" in text
    assert "a copy of a</td>" in text
    assert not re.search("duplicate_of|quarantine|dash to null", text)
    assert (
        json.loads((tmp_path / "out" / "summary.json").read_text())["coins"][0]["reason"] == "duplicate_of:a"
    )
