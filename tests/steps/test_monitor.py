"""Monitor: each kind of trouble is found with its day, false alarms are as rare as promised, and ids stay."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from steps.crypto import monitor, nightly
from steps.crypto.drift import chi_squared, limit, psi
from tests.steps.company import Company, day, read_lines

DAYS = 400


@pytest.fixture
def company(tmp_path: Path) -> Company:
    return Company(tmp_path / "pfs")


def walk(seed: int, days: int = DAYS, sigma: float = 0.05) -> list[float]:
    """A random walk of closes."""
    chance = random.Random(seed)
    closes = [100.0]
    while len(closes) < days:
        closes.append(closes[-1] * math.exp(chance.gauss(0, sigma)))
    return closes


def healthy(company: Company, slug: str, closes: list[float], **more: Any) -> None:
    """Put a coin that nothing is wrong with."""
    company.coin(slug, closes, **more)
    company.backtest(slug, "naive.last", closes, width=1.2816 * 0.05)
    company.champion(slug, "naive.last")
    company.champion(slug, "naive.last", repo="compare")
    company.forecast(slug, closes[-1], closes[-1], closes[-1] * 0.9, origin=len(closes) - 1)


def look(company: Company) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run the monitor; return its report and its alerts."""
    monitor.run(company.pfs, company.pfs / "out")
    report = json.loads((company.pfs / "out" / "report.json").read_text())
    return report, read_lines(company.pfs / "out" / "alerts.jsonl")


def kinds(alerts: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(alert["kind"], alert["slug"], alert["since"]) for alert in alerts]


def test_healthy_coins_raise_no_alarm(company: Company) -> None:
    for number in range(8):
        healthy(company, f"coin{number}", walk(number))
    report, alerts = look(company)
    assert alerts == []
    assert (report["day"], len(report["coins"])) == (day(DAYS - 1), 8)
    facts = report["coins"]["coin3"]
    assert facts["behind"] == facts["filled"] == facts["jumps"] == 0
    assert 0 < facts["psi"] < facts["psi_limit"]
    assert (facts["rel_mae"], facts["rel_mae_n"]) == (1.0, 30)
    assert 0.6 <= facts["coverage"] <= 1


def test_files_that_could_not_be_read_are_named_and_keep_their_ids(company: Company) -> None:
    company.rejected("garbled", "picture")
    for number in range(3):
        healthy(company, f"coin{number}", walk(number))
    report, alerts = look(company)
    assert [(a["severity"], a["kind"], a["slug"], a["value"]) for a in alerts] == [
        ("error", "unreadable_file", "garbled", 3),
        ("error", "unreadable_file", "picture", 3),
    ]
    assert report["alerts"] == {"unreadable_file": 2}
    for number in range(3):  # a day later
        healthy(company, f"coin{number}", walk(number, DAYS + 1))
    assert [a["id"] for a in look(company)[1]] == [a["id"] for a in alerts]


def test_where_no_file_can_be_read_that_is_said_and_nothing_breaks(company: Company) -> None:
    company.rejected("garbled", "picture")
    company.champion("garbled", "m.1")  # it was a coin yesterday
    for stage in ("standardise", "predict", "backtest", "audit/universe"):
        (company.pfs / stage).mkdir(parents=True, exist_ok=True)
    report, alerts = look(company)
    assert [(a["severity"], a["kind"], a["slug"], a["value"]) for a in alerts] == [
        ("error", "no_coin", "", 3),
        ("error", "unreadable_file", "garbled", 3),
        ("error", "unreadable_file", "picture", 3),
    ]
    assert (report["day"], report["coins"], report["bias"]) == ("", {}, {})
    assert [a["id"] for a in look(company)[1]] == [a["id"] for a in alerts]


def test_coins_without_a_forecast_are_named(company: Company) -> None:
    for number in range(3):
        healthy(company, f"coin{number}", walk(number))
    (company.pfs / "predict" / "coin1.json").unlink()
    company.forecast("coin2", 1, 1, 1, status="skipped", reason="x", forecast=[])
    (company.pfs / "audit" / "universe" / "lost.json").write_text("{}")
    report, alerts = look(company)
    assert [(a["kind"], a["slug"], a["value"]) for a in alerts] == [
        ("no_forecast", "coin1", "missing"),
        ("no_forecast", "coin2", "skipped"),
        ("no_forecast", "lost", "missing"),
    ]
    assert {a["severity"] for a in alerts} == {"error"}
    assert report["without_series"] == ["lost"]
    assert report["alerts"] == {"no_forecast": 3}


def test_stale_coins_and_gaps(company: Company) -> None:
    healthy(company, "fresh", walk(1))
    healthy(company, "stale", walk(2, DAYS - 6))
    healthy(company, "onhold", walk(3), filled=[DAYS - 20, DAYS - 19, DAYS - 9, DAYS - 8])
    _, alerts = look(company)
    assert kinds(alerts) == [
        ("stale", "stale", day(DAYS - 7 + 4)),
        ("gaps", "onhold", day(DAYS - 20)),
    ]


def test_a_jump_that_is_back_at_once_is_a_glitch(company: Company) -> None:
    jumped, glitch = walk(1), walk(2)
    jumped[DAYS - 10 :] = [close * 4 for close in jumped[DAYS - 10 :]]
    glitch[DAYS - 12] *= 50
    healthy(company, "jumped", jumped)
    healthy(company, "glitch", glitch)
    company.policy("monitor", alpha=1e-12)  # so that only these are told
    _, alerts = look(company)
    assert [(a["severity"], *found) for a, found in zip(alerts, kinds(alerts), strict=True)] == [
        ("warning", "jump", "jumped", day(DAYS - 10)),
        ("info", "glitch", "glitch", day(DAYS - 12)),
    ]


def test_a_changed_distribution_is_drift(company: Company) -> None:
    healthy(company, "same", walk(1))
    closes = walk(2)
    chance = random.Random(9)
    for n in range(DAYS - 60, DAYS):
        closes[n] = closes[n - 1] * math.exp(chance.gauss(0.05, 0.02))  # calmer, and upwards
    healthy(company, "changed", closes)
    report, alerts = look(company)
    [drift] = [alert for alert in alerts if alert["kind"] == "drift"]
    assert drift["slug"] == "changed"
    assert day(DAYS - 60) < drift["since"] < day(DAYS - 10)
    assert drift["value"] > drift["limit"] == report["coins"]["changed"]["psi_limit"]


def test_intervals_and_accuracy_that_went_bad(company: Company) -> None:
    for number in range(3):
        healthy(company, f"coin{number}", walk(number))
    bad = walk(7)
    healthy(company, "bad", bad)
    company.backtest("bad", "m.1", bad, say=lambda n: 1.0 if n < DAYS - 20 else 1.2, width=0.0641)
    company.champion("bad", "m.1")
    company.champion("bad", "m.2", since=370, repo="compare")
    _, alerts = look(company)
    found = {alert["kind"]: alert for alert in alerts}
    assert {alert["slug"] for alert in alerts} == {"bad"}
    assert set(found) == {"coverage", "rel_mae", "other_champion_1d", "other_champion_10d"}
    assert found["rel_mae"]["value"] > 2
    assert day(DAYS - 20) <= found["rel_mae"]["since"] <= day(DAYS - 16)
    assert found["other_champion_1d"]["value"] == "m.2"


def test_bias_of_a_kind_of_coin_is_seen(company: Company) -> None:
    for number in range(9):
        closes = walk(number)
        healthy(company, f"coin{number}", closes, volume=10.0**number)
        if number < 3:  # the least traded: said too low, a little, always
            company.backtest(f"coin{number}", "naive.last", closes, say=lambda n: 0.985, width=0.0641)
    company.policy("monitor", max_rel_mae=9.0, alpha=0.001)
    report, alerts = look(company)
    assert [(a["kind"], a["slug"]) for a in alerts if a["kind"].startswith("bias")] == [
        ("bias_liquidity", "low")
    ]
    low, high = (report["bias"]["liquidity"][name] for name in ("low", "high"))
    assert low["mean"] == pytest.approx(0.015, abs=0.01)
    assert low["t"] > 3 > abs(high["t"])


def test_ids_are_the_same_tomorrow_and_in_a_replay(company: Company) -> None:
    healthy(company, "fresh", walk(1))
    healthy(company, "stale", walk(2, DAYS - 6))
    glitch = walk(4)
    glitch[DAYS - 12] *= 50
    healthy(company, "glitch", glitch)
    company.policy("monitor", alpha=1e-12)
    _, first = look(company)
    assert look(company)[1] == first
    healthy(company, "fresh", walk(1, DAYS + 1))  # a day later
    _, second = look(company)
    assert {alert["id"] for alert in first} == {alert["id"] for alert in second}
    assert len({alert["id"] for alert in first}) == 2
    assert [alert["value"] for alert in first if alert["kind"] == "stale"] == [6]
    assert [alert["value"] for alert in second if alert["kind"] == "stale"] == [7]


def test_false_alarms_of_psi_are_as_rare_as_promised() -> None:
    chance = random.Random(1)
    for n, m in ((60, 300), (200, 2000)):
        bound = limit(n, m, 0.05)
        draws = [
            psi([chance.gauss(0, 1) for _ in range(n)], [chance.gauss(0, 1) for _ in range(m)])
            for _ in range(300)
        ]
        assert 0.01 <= sum(each > bound for each in draws) / 300 <= 0.09
    assert limit(200, 10**9, 0.01) < 0.13 < limit(100, 10**9, 0.01)  # no fixed number fits both


def test_quantiles_of_chi_squared() -> None:
    assert chi_squared(0.99, 9) == pytest.approx(21.666, rel=2e-3)
    assert chi_squared(0.5, 4) == pytest.approx(3.357, rel=5e-3)


def test_nights_are_scored_up_to_the_tick(company: Company) -> None:
    for number in range(3):
        healthy(company, f"coin{number}", walk(number))
    company.backtest("coin0", "m.1", walk(0), say=lambda n: 1.0 if n < 300 else 1.3, width=0.0641)
    company.champion("coin0", "m.1")
    company.backtest("coin1", "m.1", walk(1), say=lambda n: 1.0 if n < 300 else 1.3, width=0.0641)
    company.champion("coin1", "m.1")
    (company.pfs / "tick").mkdir()
    (company.pfs / "tick" / f"{day(350)}T01:30:00Z").touch()
    nightly.run(company.pfs, company.pfs / "out")
    rows = [line.split(",") for line in (company.pfs / "out" / "accuracy.csv").read_text().splitlines()]
    assert rows[0] == ["night", "coins", "outcomes", "rel_mae", "better", "cov80"]
    assert (rows[1][0], rows[-1][0], len(rows)) == (day(170), day(350), 182)
    by_night = {row[0]: row for row in rows[1:]}
    assert by_night[day(300)][1:4] == ["3", "90", "1.0"]
    assert float(by_night[day(340)][3]) > 2
    [alert] = read_lines(company.pfs / "out" / "alerts.jsonl")
    assert alert["kind"] == "nightly_rel_mae"
    assert day(301) <= alert["since"] <= day(305)
