"""Decide and ledger: the rule, the arithmetic of paper trading, and that no decision knows what comes."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from pachlet.step import BadInput
from steps.crypto import decide, ledger
from steps.crypto.book import Book, drawdown
from steps.crypto.trading import Decision, read_trade
from steps.crypto.trading import decide as by_rule
from tests.steps.company import Company, day, read_lines


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path / "pfs")


@pytest.fixture
def policy(company: Company) -> dict[str, Any]:
    return read_trade(company.pfs / "policy" / "trade.json")


@pytest.mark.parametrize(
    "point, low, volume, action, reason",
    [
        (101, 95, 1e6, "buy", "edge"),
        (100.54, 95, 1e6, "hold", "small_edge"),  # a fee of 25 bp and 30 bp of margin
        (100.56, 95, 1e6, "buy", "edge"),
        (101, 84.9, 1e6, "hold", "risk"),
        (101, None, 1e6, "hold", "risk"),  # no interval was promised
        (101, 95, 99_999, "hold", "illiquid"),
        (101, 95, None, "hold", "illiquid"),
        (99.76, 95, 1e6, "hold", "small_edge"),
        (99.74, 95, 0, "sell", "expected_fall"),  # getting out needs no buyer's care
        (100, 95, 1e6, "hold", "small_edge"),
    ],
)
def test_the_rule(
    policy: dict[str, Any], point: float, low: float | None, volume: float | None, action: str, reason: str
) -> None:
    made = by_rule(point, 100.0, low, volume, policy)
    assert (made.action, made.reason) == (action, reason)
    assert made.weight == {"buy": 0.1, "sell": 0.0, "hold": None}[action]


def test_a_decision_names_all_that_it_follows_from(company: Company) -> None:
    company.coin("acoin", [100.0] * 40, volume=2e5)
    company.forecast("acoin", last=100, point=102, low=99, origin=39)
    decide.run(company.pfs, company.pfs / "out")
    [path] = (company.pfs / "out").iterdir()
    made = json.loads(path.read_text())
    assert path.name == "acoin.json"
    assert {name: made[name] for name in ("slug", "origin", "model", "action", "target_weight", "paper")} == {
        "slug": "acoin",
        "origin": day(39),
        "model": "m.1",
        "action": "buy",
        "target_weight": 0.1,
        "paper": True,
    }
    assert (made["expected_gross"], made["cost"], made["downside"], made["volume"]) == (
        0.02,
        0.0025,
        -0.01,
        2e5,
    )


def test_a_coin_without_a_forecast_is_skipped_with_the_reason(company: Company) -> None:
    company.coin("young", [1.0, 1.0])
    company.forecast("young", 1, 1, 1, status="skipped", reason="no_naive_model", forecast=[])
    decide.run(company.pfs, company.pfs / "out")
    made = json.loads((company.pfs / "out" / "young.json").read_text())
    assert (made["status"], made["reason"]) == ("skipped", "no_naive_model")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"paper": False}, '"paper" must be true: nothing here can place a real order'),
        ({"max_weight": 1.5}, "max_weight is at most 1"),
        ({"fee_bps": -1}, "'fee_bps' must not be below 0"),
        ({"fee": 25}, "unknown field 'fee'"),
        ({"horizon": 1.5}, "'horizon' must be of type int"),
        ({"cash": True}, "'cash' must be of type float"),
        ({"fee": 25, "cash": -1.0}, "unknown field 'fee'; known: .*; 'cash' must not be below 0, not -1.0"),
    ],
)
def test_a_policy_that_is_off_is_refused(company: Company, changes: dict[str, Any], said: str) -> None:
    company.policy("trade", **changes)
    with pytest.raises(BadInput, match=said):
        read_trade(company.pfs / "policy" / "trade.json")


def test_no_step_can_reach_who_would_take_an_order() -> None:
    """No code path places an order: what decides and keeps the ledger imports nothing that speaks to anybody."""
    steps = Path(decide.__file__).parent
    for name in ("trading", "decide", "ledger", "book", "days", "policies"):
        text = (steps / f"{name}.py").read_text()
        assert not {"httpx", "socket", "urllib", "http", "requests"} & set(text.split())


def fixed(action: str, weight: float | None) -> Decision:
    return Decision(action, "", 0, 0, 0, 0, weight)


def test_cash_quantities_and_fees_add_up() -> None:
    book = Book(1000.0, 0.01)
    book.trade("1", {"a": 10.0, "b": 4.0}, {"a": fixed("buy", 0.5), "b": fixed("hold", None)})
    assert (book.held, book.cash, book.fees) == ({"a": 50.0}, 495.0, 5.0)
    book.trade("2", {"a": 12.0}, {"a": fixed("hold", None)})
    assert book.equity == 495 + 600
    book.trade("3", {"a": 6.0, "b": 4.0}, {"a": fixed("sell", 0.0), "b": fixed("buy", 1.0)})
    assert "a" not in book.held
    assert book.cash == pytest.approx(0)  # all that was left, less the fee for it
    assert book.held["b"] == pytest.approx((495 + 300 * 0.99) / 1.01 / 4)
    assert [(t["date"], t["slug"], t["action"]) for t in book.trades] == [
        ("1", "a", "buy"),
        ("3", "a", "sell"),
        ("3", "b", "buy"),
    ]


def test_books_balance_whatever_happens() -> None:
    chance = random.Random(5)
    book, start = Book(500.0, 0.0025), 500.0
    gained, prices = 0.0, {"a": 3.0, "b": 80.0, "c": 0.0004}
    for number in range(300):
        before = dict(prices)
        prices = {slug: price * chance.uniform(0.8, 1.25) for slug, price in prices.items()}
        gained += sum(qty * (prices[slug] - before[slug]) for slug, qty in book.held.items())
        made = {slug: fixed(chance.choice(["buy", "hold", "sell"]), chance.random()) for slug in prices}
        book.trade(str(number), prices, made)
        assert book.equity == pytest.approx(start - book.fees + gained)
        assert book.cash > -1e-9
        assert all(qty > 0 for qty in book.held.values())
    assert len(book.trades) > 200


def test_drawdown_is_the_deepest_fall_from_a_height() -> None:
    assert drawdown([1, 2, 1.5, 3, 1.2, 4]) == pytest.approx(1.2 / 3 - 1)
    assert drawdown([1, 2, 3]) == 0


def run_ledger(company: Company) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    ledger.run(company.pfs, company.pfs / "out")
    return json.loads((company.pfs / "out" / "summary.json").read_text()), read_lines(
        company.pfs / "out" / "ledger.jsonl"
    )


def test_a_champion_counts_from_the_day_since_when_it_is_one(company: Company) -> None:
    closes = [100.0 + n for n in range(20)]
    company.coin("acoin", closes)
    company.backtest("acoin", "naive.last", closes)
    company.backtest("acoin", "m.1", closes, say=lambda n: 1.02)
    company.champion("acoin", "m.1", since=12)
    summary, trades = run_ledger(company)
    assert trades[0]["date"] == day(12)
    assert (summary["first"], summary["last"], summary["days"]) == (day(0), day(19), 20)
    assert summary["buy_and_hold"]["return"] == pytest.approx(119 / 100 / 1.0025 - 1)


def test_a_champion_that_was_taken_down_counts_for_its_days(company: Company) -> None:
    closes = [100.0] * 5 + [90.0] * 15
    company.coin("acoin", closes)
    company.backtest("acoin", "naive.last", closes)
    company.backtest("acoin", "m.1", closes, say=lambda n: 1.02 if n < 10 else 0.9)
    company.champion("acoin", "naive.last", since=8, before=[(0, "naive.last"), (3, "m.1")])
    summary, trades = run_ledger(company)
    # It bought before the fall, and sells no more once it is taken down.
    assert {(trade["date"], trade["action"]) for trade in trades} <= {(day(n), "buy") for n in range(3, 8)}
    assert trades[0]["date"] == day(3)
    assert summary["equity"] < 10_000


def test_as_today_never_trades_and_keeps_its_cash(company: Company) -> None:
    closes = [100.0, 120.0, 80.0]
    company.coin("acoin", closes)
    company.backtest("acoin", "naive.last", closes)
    company.champion("acoin", "naive.last")
    summary, trades = run_ledger(company)
    assert (trades, summary["equity"], summary["trades"], summary["max_drawdown"]) == ([], 10_000, 0, 0)
    assert summary["buy_and_hold"]["max_drawdown"] == pytest.approx(80 / 120 - 1)


def test_no_decision_knows_what_comes(company: Company) -> None:
    """Changing what is known after a day changes nothing that was done up to it."""

    def history(end: int) -> list[list[str]]:
        chance = random.Random(3)
        closes = [100.0]
        for n in range(40):
            closes.append(closes[-1] * (chance.uniform(0.9, 1.1) if n < 30 else 0.5 if end else 2.0))
        company.coin("acoin", closes)
        company.backtest("acoin", "naive.last", closes)
        company.backtest("acoin", "m.1", closes, say=lambda n: 1.02 if n % 7 < 4 else 0.98)
        company.champion("acoin", "m.1")
        run_ledger(company)
        with (company.pfs / "out" / "equity.csv").open() as file:
            return [row for row in csv.reader(file) if row[0] <= day(30)]

    assert history(0) == history(1)
    assert len(history(0)) == 31


def test_without_champions_there_is_an_empty_ledger(company: Company) -> None:
    summary, trades = run_ledger(company)
    assert (trades, summary["days"], summary["equity"]) == ([], 0, 10_000)


def test_a_champions_coin_whose_prices_are_gone_leaves_the_others_their_ledger(company: Company) -> None:
    company.coin("here", [100.0, 101.0, 102.0])
    company.backtest("here", "m.1", [100.0, 101.0, 102.0], say=lambda n: 1.05)
    for slug in ("here", "gone"):
        company.champion(slug, "m.1")
    summary, _ = run_ledger(company)
    assert summary["days"] == 3
