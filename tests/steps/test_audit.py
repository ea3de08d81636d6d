"""The audit picks the usable coins, says why the others are not, and every row is accounted for.

Read next: ../../steps/crypto/audit.py.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pachlet.step import BadInput
from steps.crypto import audit, ingest

HEADER = "Date,Open,High,Low,Close,Volume,Market Cap"
CRYPTO = Path(__file__).parents[3] / "shared" / "data" / "crypto"


def prices(days: int, close: float = 2.0, absent: range = range(0)) -> str:
    start = date(2016, 1, 1)
    rows = [
        f"{start + timedelta(days=i)},{close},{close + 1},{close / 2},{close},5,5"
        for i in range(days)
        if i not in absent
    ]
    return "\r\n".join([HEADER, *reversed(rows)])


def ingest_and_audit(tmp_path: Path, raw: dict[str, str]) -> Path:
    folder = tmp_path / "pfs" / "prices" / "raw"
    folder.mkdir(parents=True)
    for name, text in raw.items():
        (folder / name).write_text(text, newline="")
    ingest.run(tmp_path / "pfs", tmp_path / "pfs" / "ingest")
    out = tmp_path / "out"
    audit.run(tmp_path / "pfs", out)
    return out


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def rejections(out: Path) -> dict[str, str]:
    return {coin["slug"]: coin["reason"] for coin in read(out / "rejected.json")["coins"]}


def universe(out: Path) -> list[str]:
    return sorted(path.stem for path in (out / "universe").glob("*.json"))


def test_sixty_rows_in_the_last_segment_are_enough_and_fifty_nine_are_not(tmp_path: Path) -> None:
    raw = {
        "Old.csv": prices(60),
        "Young.csv": prices(59, close=3.0),
        "Broken.csv": prices(140, absent=range(75, 83)),
        "Mended.csv": prices(140, absent=range(75, 82)),
    }
    out = ingest_and_audit(tmp_path, raw)
    assert universe(out) == ["mended", "old"]
    assert rejections(out) == {"broken": "short_history", "young": "short_history"}
    assert read(out / "universe" / "mended.json")["segment_start"] == "2016-01-01"


def test_one_poisoned_file_does_not_cost_the_others(tmp_path: Path) -> None:
    raw = {"Good.csv": prices(60), "Empty.csv": "", "Binary.csv": "\x00\x01\x02", "Other.csv": "a,b\n1,2\n"}
    out = ingest_and_audit(tmp_path, raw)
    assert universe(out) == ["good"]
    assert rejections(out) == {"binary": "unreadable", "empty": "unreadable", "other": "unreadable"}


def test_of_two_identical_files_the_list_tells_which_is_true(tmp_path: Path) -> None:
    raw = {
        "Aleph.csv": prices(70),
        "Beta.csv": prices(70),
        "100 List.csv": "Name,Price\nAleph,$0.00\nBeta,$2.10\n",
    }
    assert rejections(ingest_and_audit(tmp_path, raw)) == {"aleph": "duplicate_of:beta"}


def test_of_two_identical_files_the_first_by_name_is_kept_without_a_list(tmp_path: Path) -> None:
    raw = {"Beta.csv": prices(70), "Aleph.csv": prices(70)}
    assert rejections(ingest_and_audit(tmp_path, raw)) == {"beta": "duplicate_of:aleph"}


def test_universe_entry_depends_on_its_own_coin_only(tmp_path: Path) -> None:
    alone = ingest_and_audit(tmp_path / "1", {"Old.csv": prices(60)})
    among = ingest_and_audit(tmp_path / "2", {"Old.csv": prices(60), "New.csv": prices(99, close=9.0)})
    name = Path("universe") / "old.json"
    assert (alone / name).read_bytes() == (among / name).read_bytes()


def test_totals_account_for_every_row(tmp_path: Path) -> None:
    raw = {
        "Good.csv": prices(60) + "\r\nrubbish",
        "Copy.csv": prices(60) + "\r\nrubbish",
        "Bad.csv": "a\nb\n",
        "SYNTHETIC.txt": "made up",
    }
    totals = read(ingest_and_audit(tmp_path, raw) / "totals.json")
    assert (totals["rows_total"], totals["rows_after_quarantine"], totals["rows_quarantined"]) == (
        124,
        60,
        64,
    )
    assert totals["rows_quarantined_by_code"] == {"HEADER": 2, "NCOLS": 2}
    assert totals["files_quarantined"].keys() == {"Good.csv", "Bad.csv"}
    assert totals["ignored_files"] == ["SYNTHETIC.txt"]
    assert totals["notices"] == [{"file": "SYNTHETIC.txt", "text": "made up"}]


def test_stats_of_another_schema_are_refused_with_a_sentence(tmp_path: Path) -> None:
    stats = tmp_path / "ingest" / "stats"
    stats.mkdir(parents=True)
    (stats / "coin.json").write_text('{"schema": "crypto.ingest-stats/9"}')
    with pytest.raises(BadInput, match=r"crypto\.ingest-stats/9"):
        audit.run(tmp_path, tmp_path / "out")


@pytest.mark.skipif(not CRYPTO.is_dir(), reason="../shared/data/crypto is not here")
def test_every_total_of_the_real_data_is_reproduced(tmp_path: Path) -> None:
    raw = tmp_path / "pfs" / "prices"
    raw.mkdir(parents=True)
    for path in (CRYPTO / "raw").iterdir():
        (raw / path.name).symlink_to(path)
    ingest.run(tmp_path / "pfs", tmp_path / "pfs" / "ingest")
    out = tmp_path / "out"
    audit.run(tmp_path / "pfs", out)
    totals, expected = read(out / "totals.json"), read(CRYPTO / "EXPECTED.json")
    assert {key: totals[key] for key in expected} == expected
    assert (
        totals["rows_total"] == totals["rows_after_quarantine"] + totals["rows_quarantined"] == 79_583 + 970
    )
    assert rejections(out)["siacoin"] == "duplicate_of:nexus"
    # 99 distinct coins, five of them with less than 60 days since their last long gap.
    assert len(universe(out)) == totals["usable_coins"] == 94
    assert sorted(rejections(out).values()).count("short_history") == 5
