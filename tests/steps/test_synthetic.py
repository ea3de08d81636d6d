"""The synthetic coins look exactly like the published files, show every oddity, and never pass for real ones.

Read next: ../../data/synthetic_coins.py.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from steps.crypto import audit, ingest


@pytest.fixture(scope="module")
def synthetic() -> ModuleType:
    path = Path(__file__).parents[2] / "data" / "synthetic_coins.py"
    spec = importlib.util.spec_from_file_location("synthetic_coins", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where the dataclass decorator looks its module up
    spec.loader.exec_module(module)
    return module


def audited(synthetic: ModuleType, tmp_path: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, str]]:
    raw = tmp_path / "prices" / "raw"
    synthetic.main([str(raw), *arguments])
    ingest.run(tmp_path, tmp_path / "ingest")
    audit.run(tmp_path, tmp_path / "out")
    rejected = json.loads((tmp_path / "out" / "rejected.json").read_text())["coins"]
    totals = json.loads((tmp_path / "out" / "totals.json").read_text())
    return totals, {coin["slug"]: coin["reason"] for coin in rejected}


def test_every_oddity_of_the_source_is_there(synthetic: ModuleType, tmp_path: Path) -> None:
    totals, rejected = audited(synthetic, tmp_path)
    assert all(totals["rows_repaired"].values()), totals["rows_repaired"]
    assert totals["rows_repaired"]["date_excel_serial"] == 1
    assert totals["rows_flagged"]["calendar_gaps"] == 2
    assert rejected == {"synthcoin-aleph": "duplicate_of:synthcoin-beta", "synthcoin-mu": "short_history"}
    assert totals["rows_quarantined"] == 400  # the copy, and not one row of the others
    assert (totals["distinct_coins"], totals["usable_coins"], totals["strictly_descending_by_date"]) == (
        12,
        11,
        True,
    )
    assert totals["ignored_files"] == ["100 List.csv", "SYNTHETIC.txt"]


def test_files_are_spelled_like_the_source(synthetic: ModuleType) -> None:
    made = dict(synthetic.files(5, 100, 1))
    for name, content in made.items():
        if name == "SYNTHETIC.txt":
            continue
        assert content.isascii()
        assert not content.endswith(b"\n")
        assert content.count(b"\n") == content.count(b"\r\n") >= 5
    first = made["Synthcoin Beta.csv"].split(b"\r\n")[:2]
    assert first[0] == b"Date,Open,High,Low,Close,Volume,Market Cap"
    assert first[1].startswith(b'"Sep 22, 2017",')


def test_names_and_notice_say_synthetic(synthetic: ModuleType, tmp_path: Path) -> None:
    made = dict(synthetic.files(30, 100, 1))
    assert all(name.startswith("Synthcoin ") for name in made.keys() - {"100 List.csv", "SYNTHETIC.txt"})
    totals, _ = audited(synthetic, tmp_path, "--coins", "5", "--days", "100")
    assert totals["notices"][0]["text"].startswith("SYNTHETIC DATA")


def test_same_seed_same_bytes_other_seed_other_prices(synthetic: ModuleType) -> None:
    assert list(synthetic.files(5, 120, 3)) == list(synthetic.files(5, 120, 3))
    assert dict(synthetic.files(5, 120, 3)) != dict(synthetic.files(5, 120, 4))


def test_too_small_a_request_is_refused_with_a_sentence(
    synthetic: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        synthetic.main([str(tmp_path), "--coins", "1"])
    assert "five coins" in capsys.readouterr().err
