"""The report's part on the company: what each stage found is on the page, and the page is well-formed.

Read next: ../../steps/crypto/standing.py.
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from steps.crypto import decide, ledger, monitor
from steps.crypto.formats import write_json
from steps.crypto.standing import sections
from tests.steps.company import Company


@pytest.fixture
def company(tmp_path: Path) -> Company:
    """Two coins of which one is to be bought, all stages run, and a leaderboard."""
    made = Company(tmp_path / "pfs")
    closes = [100.0 * 1.01**n for n in range(50)]
    for slug, point in (("acoin", 1.02), ("b<coin", 1.0)):
        made.coin(slug, closes)
        made.backtest(slug, "naive.last", closes)
        made.backtest(slug, "m.1", closes, say=lambda n: 1.02)
        for repo in ("champions", "compare"):
            made.champion(slug, "m.1", repo=repo)
        made.forecast(slug, last=closes[-1], point=point * closes[-1], low=closes[-1] * 0.99, origin=49)
    (made.pfs / "audit" / "universe" / "lost.json").write_text("{}")
    for stage in (decide, ledger, monitor):
        name = stage.__name__.rpartition(".")[2]
        (made.pfs / name).mkdir()
        stage.run(made.pfs, made.pfs / name)
    write_json(made.pfs / "compare" / "summary.json", leaderboard())
    return made


def leaderboard() -> dict[str, Any]:
    """A leaderboard of two models, one of which has nothing at ten days."""
    values = {
        "rel_mae": 0.992,
        "beats_naive": 0.77,
        "worst": 1.021,
        "cov80": 0.79,
        "dir": 0.54,
        "dir_majority": 0.51,
    }
    gate = {"1": {"rel_mae": 0.9951, "worst": 1.004}, "10": {"rel_mae": None, "worst": None}}
    both = {"global": False, "example": True, "model": "seed.lstm", "h": {"1": {**values, "rel_mae": 3.9}}}
    return {
        "schema": "crypto.leaderboard/1",
        "coins": 9,
        "counted": 8,
        "models": [
            {**both, "model": "svm.rbf1", "global": True, "example": False, "h": {"1": values, "10": values}},
            both,
        ],
        "gated": gate,
    }


def text_of(parts: list[str]) -> str:
    """Return what a reader sees, and hold that every tag is closed in order."""
    found: list[str] = []
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            opened.append(tag)

        def handle_startendtag(self, tag: str, attrs: Any) -> None:
            return

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

        def handle_data(self, data: str) -> None:
            found.append(data)

    reader = Reader()
    reader.feed("\n".join(parts))
    assert opened == []
    return re.sub(r"\s+", " ", " ".join(found))


def test_every_stage_has_its_section(company: Company) -> None:
    text = text_of(sections(company.pfs))
    assert [
        text.index(title) for title in ("How the models", "What the monitor", "Decisions", "The ledger")
    ] == sorted(
        text.index(title) for title in ("How the models", "What the monitor", "Decisions", "The ledger")
    )
    assert "svm.rbf1 global 0.992 77 % 1.021 79 % 54 % 51 %" in text
    assert "seed.lstm example 3.900" in text
    assert "Gated 0.995" in text
    assert "error no forecast lost" in text
    assert "Acoin buy m.1 162.83 +2.0 %" in text
    assert (
        "1 of 2 coins to buy or sell; nothing is done with the others: 1 because the forecast is not worth"
        in text
    )
    assert re.search(r"decisions \+\d+\.\d % ", text)
    assert "50 days" in text
    assert "<script" not in "".join(sections(company.pfs))


def test_a_stage_that_is_not_there_has_none(company: Company, tmp_path: Path) -> None:
    assert sections(tmp_path / "empty") == []
    (company.pfs / "ledger" / "summary.json").unlink()
    assert "The ledger" not in text_of(sections(company.pfs))


def test_a_quiet_monitor_says_so(company: Company) -> None:
    (company.pfs / "monitor" / "alerts.jsonl").write_text("")
    assert "nothing that somebody should look at" in text_of(sections(company.pfs))


def test_names_from_the_data_are_escaped(company: Company) -> None:
    alerts = company.pfs / "monitor" / "alerts.jsonl"
    alert = {
        "severity": "info",
        "kind": "gaps",
        "slug": "<b>x",
        "since": "2017-01-01",
        "value": 5,
        "limit": 3,
        "id": "f",
    }
    alerts.write_text(json.dumps(alert) + "\n")
    assert "<b>x" in text_of(sections(company.pfs))
