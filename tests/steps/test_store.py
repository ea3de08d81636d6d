"""Store: rows with the commit that made them, in a file, as CSV for an egress, and in a real PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachlet.step import BadInput
from steps.crypto import decide, store
from tests.postgres_server import PASSWORD, Postgres, postgres
from tests.steps.company import Company, day, read_lines


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Company:
    """Two coins with forecasts, decisions and scores, of commits that are told as Pachyderm tells them."""
    made = Company(tmp_path / "pfs")
    for slug in ("acoin", "bcoin"):
        made.coin(slug, [100.0] * 5)
        made.forecast(slug, last=100, point=102, low=99, origin=4)
        made.score(slug, naive_last={"n": 30, "rel_mae": 1.0}, svm_a={"n": 30, "rel_mae": 0.99, "cov80": 0.8})
    decide.run(made.pfs, made.pfs / "decide")
    for name in ("predict", "decide", "score"):
        monkeypatch.setenv(f"{name}_COMMIT", f"{name[0]}" * 32)
    return made


def receipt(company: Company) -> dict[str, Any]:
    return dict(json.loads((company.pfs / "out" / "receipt.json").read_text()))


def stored(company: Company) -> None:
    (company.pfs / "out").mkdir(exist_ok=True)
    store.run(company.pfs, company.pfs / "out")


def test_a_file_holds_all_rows_with_their_commits(company: Company, tmp_path: Path) -> None:
    stored(company)
    path = company.pfs / "out" / "company.db"
    with sqlite3.connect(path) as database:
        assert database.execute(
            "SELECT slug, origin, h, point, model_commit, pach_commit FROM forecasts"
        ).fetchall() == [
            ("acoin", day(4), 1, 102.0, "c0ffee", "p" * 32),
            ("bcoin", day(4), 1, 102.0, "c0ffee", "p" * 32),
        ]
        assert database.execute("SELECT DISTINCT action, pach_commit FROM decisions").fetchall() == [
            ("buy", "d" * 32)
        ]
        assert database.execute(
            "SELECT model, rel_mae, cov80 FROM scores WHERE slug = 'acoin'"
        ).fetchall() == [
            ("naive.last", 1.0, None),
            ("svm.a", 0.99, 0.8),
        ]
    database.close()
    assert receipt(company)["tables"] == {
        "forecasts": {"rows": 2},
        "decisions": {"rows": 2},
        "scores": {"rows": 4},
    }
    assert receipt(company)["commits"]["predict"] == "p" * 32
    first = path.read_bytes()
    path.unlink()
    stored(company)
    assert path.read_bytes() == first


def test_rows_as_lines_for_an_egress(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE", "json")
    stored(company)
    assert sorted(path.name for path in (company.pfs / "out").iterdir()) == [
        "decisions",
        "forecasts",
        "scores",
    ]
    rows = read_lines(company.pfs / "out" / "scores" / "rows.jsonl")
    assert [(row["slug"], row["model"], row["rel_mae"], row["cov80"]) for row in rows[:2]] == [
        ("acoin", "naive.last", 1.0, None),
        ("acoin", "svm.a", 0.99, 0.8),
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


def test_rows_are_added_or_replaced_in_postgres(
    company: Company, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", server.url)
    monkeypatch.setenv("STORE_PASSWORD", PASSWORD)
    stored(company)
    first = receipt(company)
    made = "SELECT slug, origin, point, pach_commit FROM forecasts ORDER BY slug, origin"
    assert server.run(made) == [[slug, day(4), 102.0, "p" * 32] for slug in ("acoin", "bcoin")]
    before = server.run("SELECT xmin::text FROM forecasts ORDER BY slug")
    stored(company)  # again: nothing is written
    assert (receipt(company), server.run("SELECT xmin::text FROM forecasts ORDER BY slug")) == (first, before)
    company.forecast("acoin", last=100, point=103, low=99, origin=4)  # forecast anew
    company.forecast("bcoin", last=100, point=104, low=99, origin=5)  # a day later
    monkeypatch.setenv("predict_COMMIT", "q" * 32)
    stored(company)
    assert server.run(made) == [
        ["acoin", day(4), 103.0, "q" * 32],
        ["bcoin", day(4), 102.0, "p" * 32],  # what was said then stays
        ["bcoin", day(5), 104.0, "q" * 32],
    ]


def test_what_is_wrong_with_a_database_is_said(
    company: Company, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE", server.url)
    monkeypatch.setenv("STORE_PASSWORD", "wrong")
    with pytest.raises(BadInput, match=r"the database at 127\.0\.0\.1: password authentication failed"):
        stored(company)
    monkeypatch.setenv("STORE", "postgresql://postgres@127.0.0.1:1/postgres")
    with pytest.raises(BadInput, match=r"the database at 127\.0\.0\.1: "):
        stored(company)
    monkeypatch.setenv("STORE", "postgresql://ann:secret@127.0.0.1/x")
    with pytest.raises(BadInput, match="must not hold the password"):
        stored(company)
    monkeypatch.setenv("STORE", "mysql://x")
    with pytest.raises(BadInput, match=r"STORE is '?mysql'?; known: sqlite, json"):
        stored(company)
