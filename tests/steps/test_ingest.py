"""Ingest repairs what has one plain meaning, sets the rest aside with its line, and loses nothing.

Read next: ../../steps/crypto/prices.py.
"""

from __future__ import annotations

import csv
import json
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.crypto import audit, ingest
from steps.crypto.ingest import slug_of
from steps.crypto.prices import PriceFile, Refusal, parse_prices, parse_row

HEADER = "Date,Open,High,Low,Close,Volume,Market Cap"
GOOD = '"Sep 22, 2017",3628.02,3758.27,3553.53,3630.7,"1,194,830,000","60,152,300,000"'
CRYPTO = Path(__file__).parents[3] / "shared" / "data" / "crypto"
needs_real_data = pytest.mark.skipif(not CRYPTO.is_dir(), reason="../shared/data/crypto is not here")


def a_day(day: str = '"Sep 21, 2017"', close: str = "2", high: str = "3", low: str = "1") -> str:
    return f"{day},2,{high},{low},{close},100,1000"


def a_file(*rows: str) -> str:
    return "\r\n".join([HEADER, *rows])


def ingest_one(tmp_path: Path, name: str, content: bytes) -> Path:
    raw = tmp_path / "pfs" / "prices" / "raw"
    raw.mkdir(parents=True)
    (raw / name).write_bytes(content)
    out = tmp_path / "out"
    ingest.run(tmp_path / "pfs", out)
    return out


def test_good_row_reads_whole() -> None:
    row = parse_row(2, GOOD + "\r")
    assert (row.day, row.open, row.high, row.low, row.close) == (
        date(2017, 9, 22),
        3628.02,
        3758.27,
        3553.53,
        3630.7,
    )
    assert (row.volume, row.market_cap, row.repaired, row.flagged) == (1194830000.0, 60152300000.0, [], [])


@pytest.mark.parametrize(
    "written, meant, repair",
    [
        ('"June 4, 2017"', date(2017, 6, 4), ["date_long_month"]),
        ('"December 14, 2014"', date(2014, 12, 14), ["date_long_month"]),
        ('"May 04, 2017"', date(2017, 5, 4), []),
        ('"May 4, 2017"', date(2017, 5, 4), []),
        ("42093", date(2015, 3, 30), ["date_excel_serial"]),
        ("2015-03-30", date(2015, 3, 30), []),
    ],
)
def test_dates_are_repaired(written: str, meant: date, repair: list[str]) -> None:
    row = parse_row(2, a_day(written))
    assert row.day == meant
    assert row.repaired == repair


def test_dash_is_null_and_scientific_notation_is_a_number() -> None:
    row = parse_row(2, '"May 25, 2014",4.40E-07,6.90E-07,4.50E-07,5.80E-07,-,-')
    assert (row.close, row.volume, row.market_cap) == (5.8e-07, None, None)
    assert row.repaired == ["volume_dash_to_null", "marketcap_dash_to_null", "scientific_notation_rows"]
    assert row.flagged == ["open_outside_low_high"]


@pytest.mark.parametrize(
    "line, code",
    [
        (a_day('"Feb 30, 2017"'), "BAD_DATE"),
        (a_day('"Juny 3, 2017"'), "BAD_DATE"),
        (a_day("04/05/2017"), "BAD_DATE"),  # April or May? Nobody knows.
        (a_day("99999"), "BAD_DATE"),
        (a_day('"Jan 02, 2009"'), "BAD_DATE"),
        (a_day(close="-"), "BAD_CLOSE"),
        (a_day(close="0"), "BAD_CLOSE"),
        (a_day(close="nan"), "BAD_CLOSE"),
        (a_day(close="1e999"), "BAD_CLOSE"),
        (a_day(close='"1,23"'), "BAD_CLOSE"),
        (a_day(high="-3"), "BAD_NUMBER"),
        (a_day(high="1", low="3"), "HIGH_LT_LOW"),
        (a_day() + ",more", "NCOLS"),
        ("1,2,3", "NCOLS"),
        ('"Sep 21, 2017,2,3,1,2,100,1000', "NCOLS"),
        (HEADER, "HEADER"),
    ],
)
def test_row_that_means_nothing_plain_is_refused(line: str, code: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_row(2, line)
    assert refusal.value.code == code


def test_stray_quote_costs_one_row_not_the_rest() -> None:
    parsed = parse_prices(a_file(GOOD, '"Sep 21, 2017,1,1,1,1,1,1', a_day('"Sep 20, 2017"')))
    assert [row.line for row in parsed.rows] == [4, 2]
    assert [(bad.line, bad.code) for bad in parsed.quarantined] == [(3, "NCOLS")]


def test_second_row_of_a_date_is_set_aside() -> None:
    parsed = parse_prices(a_file(GOOD, a_day('"September 22, 2017"')))
    assert [(bad.line, bad.code) for bad in parsed.quarantined] == [(3, "DUP_DATE")]
    assert "line 2" in parsed.quarantined[0].reason


def test_gap_and_jump_are_flagged_on_the_later_day_and_break_segments() -> None:
    days = ['"Sep 30, 2017"', '"Sep 29, 2017"', '"Sep 21, 2017"', '"Sep 12, 2017"']
    parsed = parse_prices(a_file(*(a_day(day, close) for day, close in zip(days, "2311", strict=True))))
    assert [row.flagged for row in parsed.rows] == [[], ["calendar_gaps"], ["calendar_gaps"], []]
    assert parsed.missing_days == 8 + 7
    # Seven missing days (22 to 28) are bridged, eight (13 to 20) are not.
    assert [row.day for row in parsed.last_segment()] == [
        date(2017, 9, 21),
        date(2017, 9, 29),
        date(2017, 9, 30),
    ]
    tripled = parse_prices(a_file(a_day(close="3"), a_day('"Sep 20, 2017"', "0.9", low="0.5")))
    assert tripled.rows[-1].flagged == ["jump_gt_3x"]


def test_wrong_header_quarantines_every_line_and_first_line_too() -> None:
    parsed = parse_prices(f"{GOOD}\r\n{a_day()}")
    assert (parsed.rows, [bad.code for bad in parsed.quarantined]) == ([], ["HEADER", "HEADER"])


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00PNG\r\n\x1a\n", b"Date,Open\n1,2\n", HEADER.encode()])
def test_unreadable_file_is_recorded_and_does_not_fail(tmp_path: Path, content: bytes) -> None:
    out = ingest_one(tmp_path, "Coin.csv", content)
    stats = json.loads((out / "stats" / "coin.json").read_text())
    assert stats["rows_ok"] == 0
    assert stats["rows_in"] == stats["rows_quarantined"]
    assert not (out / "coins").exists()


def test_list_of_coins_is_parsed_apart(tmp_path: Path) -> None:
    content = b'#,Name,Market Cap,Price\r\n1,Bitcoin,"$60,219","$3,631.72"\r\n2,New,?,?'
    out = ingest_one(tmp_path, "100 List.csv", content)
    stats = json.loads((out / "stats" / "100-list.json").read_text())
    assert (stats["kind"], stats["prices"]) == ("list", {"Bitcoin": 3631.72})
    assert not (out / "quarantine").exists()


def test_notice_is_carried_along(tmp_path: Path) -> None:
    out = ingest_one(tmp_path, "SYNTHETIC.txt", b"SYNTHETIC DATA: made up.\n")
    (stats,) = (json.loads(path.read_text()) for path in (out / "stats").iterdir())
    assert (stats["kind"], stats["text"]) == ("notice", "SYNTHETIC DATA: made up.")


def test_outputs_of_a_mended_file(tmp_path: Path) -> None:
    out = ingest_one(tmp_path, "Bitcoin Cash.csv", a_file(GOOD, a_day(close="?"), a_day("42093")).encode())
    assert (out / "coins" / "bitcoin-cash.csv").read_text() == (
        "date,open,high,low,close,volume,market_cap,flags\n"
        "2015-03-30,2.0,3.0,1.0,2.0,100.0,1000.0,date_excel_serial\n"
        "2017-09-22,3628.02,3758.27,3553.53,3630.7,1194830000.0,60152300000.0,calendar_gaps|jump_gt_3x\n"
    )
    bad = json.loads((out / "quarantine" / "bitcoin-cash.jsonl").read_text())
    assert bad == {
        "file": "Bitcoin Cash.csv",
        "line": 3,
        "code": "BAD_CLOSE",
        "raw": a_day(close="?"),
        "reason": "Close '?' is no number",
    }


def test_ordinary_names_have_plain_slugs() -> None:
    plain = {
        "Bitcoin Cash.csv": "bitcoin-cash",
        "Synthcoin Alpha.csv": "synthcoin-alpha",
        "100 List.csv": "100-list",
        "0x.csv": "0x",
        "E-coin.csv": "e-coin",
        "I-O Coin.csv": "i-o-coin",
        "BitBay.csv": "bitbay",
    }
    assert {file: slug_of(file) for file in plain} == plain


@needs_real_data
def test_every_real_file_has_a_plain_slug() -> None:
    files = [path.name for path in (CRYPTO / "raw").glob("*.csv")]
    assert files
    assert [slug_of(file) for file in files] == [file[:-4].lower().replace(" ", "-") for file in files]


# Files that a rule less careful would give one slug: each group differs in what a slug leaves out.
ALIKE = (
    (
        "Bitcoin.csv",
        "bitcoin.csv",
        "BITCOIN.csv",
        "Bitcoin.CSV",
        "Bitcoin",
        "Bitcoin.CSV.csv",
        "sub/Bitcoin.csv",
    ),
    ("Bitcoin Cash.csv", "Bitcoin-Cash.csv", "bitcoin cash.csv", "Bitcoin  Cash.csv", "Bitcoin Cash .csv"),
    ("BitBay.csv", "Bitbay.csv", "bitbay.csv"),
    ("Coin?.csv", "Coin!.csv", "Münze.csv", "Mu\u0308nze.csv", "..", ".csv", "?", "\udcff", "\udcfe"),
    ("x" * 250 + ".csv", "x" * 249 + ".csv", "X" + "x" * 249 + ".csv", "x" * 99 + " " + "x" * 99 + ".csv"),
)
FILES = st.one_of(
    st.sampled_from([file for group in ALIKE for file in group]),
    st.text("aAbB -.c", min_size=1, max_size=5).map(lambda stem: f"{stem}.csv"),
    st.text(min_size=1, max_size=30),
)


@given(st.sets(FILES, max_size=40))
def test_different_files_have_different_slugs(files: set[str]) -> None:
    slugs = {slug_of(file) for file in files}
    # A file that is named as another's slug reads must not get that slug either.
    files |= {f"{slug.replace('-', ' ').title()}.csv" for slug in slugs} | {f"{slug}.csv" for slug in slugs}
    slugs = {slug_of(file) for file in files}
    assert len(slugs) == len(files)
    assert all(re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", slug) and len(slug) < 120 for slug in slugs)


def test_files_alike_in_name_are_ingested_apart_and_copies_found(tmp_path: Path) -> None:
    raw = tmp_path / "pfs" / "prices" / "raw"
    days = [a_day(f"2017-0{month}-{day:02}") for month in (1, 3) for day in range(1, 29)]
    files = ("Bitcoin.csv", "Bitcoin.CSV", "bitcoin.csv", "sub/Bitcoin.csv")
    made: list[str] = []
    for number, file in enumerate(files):
        (raw / file).parent.mkdir(parents=True, exist_ok=True)
        (raw / file).write_text(a_file(*days, a_day("2017-04-01", close="2.5" if number == 2 else "2"), "?"))
        # As in the pipeline, where each file is a datum and no two datums may write one path.
        ingest.ingest_file(raw / file, file, tmp_path / str(number))
        made += [str(p.relative_to(tmp_path / str(number))) for p in (tmp_path / str(number)).rglob("*.*")]
    assert len(made) == len(set(made)) == 3 * len(files)
    ingest.run(tmp_path / "pfs", tmp_path / "pfs" / "ingest")
    audit.run(tmp_path / "pfs", tmp_path / "out")
    rejected = json.loads((tmp_path / "out" / "rejected.json").read_text())["coins"]
    assert {coin["file"]: coin["reason"] for coin in rejected} == {
        "Bitcoin.csv": f"duplicate_of:{slug_of('Bitcoin.CSV')}",
        "sub/Bitcoin.csv": f"duplicate_of:{slug_of('Bitcoin.CSV')}",
        "Bitcoin.CSV": "short_history",
        "bitcoin.csv": "short_history",
    }


CELLS = st.one_of(
    st.sampled_from(
        ['"Sep 22, 2017"', "42093", "-", "1", "0.5", "1.2E-07", '"1,000"', "", "x", '"', "\r", "\x00"]
    ),
    st.text(max_size=8),
)
LINES = st.one_of(
    st.just(GOOD),
    st.just(HEADER),
    st.builds(a_day, st.dates(date(2013, 1, 1), date(2018, 1, 1)).map(date.isoformat)),
    st.lists(CELLS, min_size=6, max_size=8).map(",".join),
    st.text(max_size=40),
)


@given(st.lists(LINES, max_size=12), st.booleans())
def test_no_row_is_ever_lost(lines: list[str], headed: bool) -> None:
    text = "\r\n".join([HEADER, *lines] if headed else lines)
    parsed = parse_prices(text)
    physical = [number for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if physical and text.split("\n")[physical[0] - 1].rstrip("\r") == HEADER:
        del physical[0]
    found = [row.line for row in parsed.rows] + [bad.line for bad in parsed.quarantined]
    assert sorted(found) == physical
    assert parsed.rows_in == len(physical)
    days = [row.day for row in parsed.rows]
    assert days == sorted(set(days))


def parse_real(file: str) -> PriceFile:
    return parse_prices((CRYPTO / "raw" / file).read_bytes().decode("utf-8"))


@needs_real_data
def test_real_oddities_are_found_on_their_lines() -> None:
    names = {
        "DATE_LONG_MONTH": "date_long_month",
        "DATE_SERIAL": "date_excel_serial",
        "VOLUME_DASH": "volume_dash_to_null",
        "MARKETCAP_DASH": "marketcap_dash_to_null",
        "SCI_NOTATION": "scientific_notation_rows",
        "VOLUME_ZERO": "volume_zero",
        "OPEN_OUTSIDE_LOW_HIGH": "open_outside_low_high",
    }
    with (CRYPTO / "ODDITIES.csv").open(newline="") as file:
        expected = {
            (row["file"], int(row["line"]), names[row["code"]])
            for row in csv.DictReader(file)
            if row["code"] in names
        }
    found = {
        (path.name, row.line, code)
        for path in (CRYPTO / "raw").glob("*.csv")
        if path.name != "100 List.csv"
        for row in parse_real(path.name).rows
        for code in row.repaired + row.flagged
        if code in names.values()
    }
    assert found == expected
