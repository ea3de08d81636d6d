"""Verdicts: who may be champion, on which evidence, and that the past is never seen with the eyes of today.

Read next: ../../steps/crypto/verdict.py, ../../steps/crypto/evidence.py, ../../steps/crypto/leaderboard.py.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.step import BadInput
from steps.crypto import compare
from steps.crypto.evidence import Errors, drawn, evidence, known_blocks, student
from steps.crypto.formats import write_json
from steps.crypto.metrics import BLOCK_DAYS
from steps.crypto.verdict import Reign, gated, reigns_of, replay, reviewed

ROOT = Path(__file__).parents[2]
POLICY: dict[str, Any] = json.loads((ROOT / "data/policy/promote.json").read_text())
START = date(2016, 9, 21)  # a day on which a review is due
Make = Callable[..., Errors]


def errors(
    gain: dict[str, float], *, coins: int = 1, blocks: int = 36, noise: float = 0.1, seed: int = 0
) -> Errors:
    """Errors of models that are better than naive by a share, with noise from block to block."""
    random = np.random.default_rng(seed)
    naive = np.repeat(random.uniform(0.5, 1.5, (coins, 1, blocks)), len(gain) + 1, axis=1)
    share = np.array([0.0, *gain.values()])[None, :, None]
    error = naive * (1 - share + noise * random.normal(size=naive.shape))
    error[:, 0] = naive[:, 0]
    return Errors(
        coins=tuple(f"coin{k}" for k in range(coins)),
        models=("naive.last", *gain),
        days=tuple((START + timedelta(days=BLOCK_DAYS * k)).isoformat() for k in range(blocks)),
        error=error,
        naive=naive,
        n=np.full(naive.shape, BLOCK_DAYS),
    )


def cut(whole: Errors, blocks: int) -> Errors:
    return Errors(
        whole.coins,
        whole.models,
        whole.days[:blocks],
        *(each[:, :, :blocks] for each in (whole.error, whole.naive, whole.n)),
    )


def test_a_block_counts_once_all_its_targets_have_come() -> None:
    # On the first day of block 3, block 2's last origin (a day before) has its one-day target today.
    assert known_blocks(3, 1) == 3
    # Ten days ahead of that lies in nine days; of block 1's last origin it was yesterday.
    assert known_blocks(3, 10) == 2
    assert known_blocks(0, 1) == 0
    assert known_blocks(0, 10) == 0


def test_a_clear_gain_is_promoted_and_noise_is_not() -> None:
    made = errors({"good": 0.15, "noise": 0.0}, noise=0.03)
    verdict = replay(made, 1, POLICY, pooled=[])
    assert verdict.reigns["coin0"].champion == "good"
    assert verdict.reigns["coin0"].decision == "keep"
    assert verdict.reigns["coin0"].since < verdict.reviewed
    assert verdict.evidence.upper[0, 1] < 1
    left = replay(errors({"noise": 0.0}), 1, POLICY, pooled=[])
    assert left.reigns["coin0"] == Reign("naive.last", made.days[0], "fallback_naive")


@pytest.mark.parametrize("horizon", [1, 10])
def test_where_nothing_is_there_hardly_a_coin_is_ever_promoted(horizon: int) -> None:
    made = errors({f"model{k}": 0.0 for k in range(5)}, coins=200, seed=3)
    verdict = replay(made, horizon, POLICY, pooled=[])
    ever = (verdict.champions != 0).any(axis=1).mean()
    assert ever <= 0.05


def ten_days_ahead(gain: dict[str, float], *, coins: int, seed: int) -> Errors:
    """Errors as they are ten days ahead: heavy tails, neighbours alike, and half of it common to all coins."""
    made = errors(gain, coins=coins, seed=seed)
    random = np.random.default_rng(seed)
    every, each = (random.standard_t(3, (count, len(gain), 37)) for count in (1, coins))
    noise = 0.1 * (every + each) / 2
    made.error[:, 1:] *= 1 + (noise[..., 1:] + noise[..., :-1]) / 2
    return made


def ever(verdict: Any) -> int:
    """On how many coins anything but naive was ever champion."""
    return int((verdict.champions != 0).any(axis=1).sum())


@pytest.mark.parametrize("seed", range(5))
def test_ten_days_ahead_noise_promotes_nothing_in_a_year(seed: int) -> None:
    made = ten_days_ahead({"global": 0.0, "own": 0.0, "other": 0.0}, coins=80, seed=seed)
    assert ever(replay(made, 10, POLICY, pooled=["global"])) == 0


def test_ten_days_ahead_a_coins_own_year_is_too_short_and_all_coins_together_are_not() -> None:
    made = ten_days_ahead({"model": 0.15}, coins=80, seed=0)
    alone = replay(made, 10, POLICY, pooled=[])
    assert alone.evidence.blocks.max() == 16
    assert ever(alone) == 0
    without = replay(made, 10, POLICY | {"own_blocks": 1}, pooled=[])
    assert ever(without) > 40  # it is the rule that keeps them
    together = replay(made, 10, POLICY, pooled=["model"])
    assert sum(reign.champion == "model" for reign in together.reigns.values()) > 60


def test_a_coins_own_evidence_counts_once_it_has_enough_independent_blocks() -> None:
    made = errors({"good": 0.3}, blocks=72, noise=0.02)
    found = replay(made, 10, POLICY, pooled=[])
    since = made.days.index(found.reigns["coin0"].since)
    # Blocks of twenty days: thirty are sixty of the calendar's, and the last target is known two blocks on.
    assert since == 61  # the first review after that
    assert replay(made, 1, POLICY, pooled=[]).champions[0].argmax() == 31


def test_a_small_gain_on_all_coins_is_shown_by_all_of_them_together_only() -> None:
    made = errors({"global": 0.01}, coins=80)
    alone = replay(made, 1, POLICY, pooled=[])
    together = replay(made, 1, POLICY, pooled=["global"])

    def share(verdict: Any) -> float:
        return float(np.mean([reign.champion == "global" for reign in verdict.reigns.values()]))

    assert share(alone) < 0.1
    assert 0.5 < share(together) < 1  # not on the coins where it did worse than naive
    for coin, reign in together.reigns.items():
        if reign.champion == "global" and reign.decision == "promote":
            assert together.evidence.rel_mae[made.coins.index(coin), 1] <= 1


def test_a_ruin_on_one_coin_keeps_a_global_model_from_what_all_had_shown() -> None:
    made = errors({"global": 0.02}, coins=40)

    def promoted() -> int:
        verdict = replay(made, 1, POLICY, pooled=["global"])
        return sum(reign.champion == "global" for reign in verdict.reigns.values())

    before = promoted()
    made.error[7, 1] = made.naive[7, 1] * 1.2
    assert promoted() < 5 < 20 < before  # what is left has its own evidence


@given(st.integers(0, 50), st.integers(19, 36))
def test_the_verdict_of_a_day_is_the_same_whatever_comes_later(seed: int, blocks: int) -> None:
    made = errors({"a": 0.05, "b": 0.04}, coins=3, blocks=36, noise=0.05, seed=seed)
    policy = {**POLICY, "boot": 50}
    whole, early = replay(made, 1, policy, ["b"]), replay(cut(made, blocks), 1, policy, ["b"])
    np.testing.assert_array_equal(whole.champions[:, :blocks], early.champions)
    assert replay(made, 1, policy, ["b"]).reigns == whole.reigns


REVIEW = {"min_gain": 0.005, "cooldown_days": 30}


@pytest.mark.parametrize(
    "reign, relative, allowed, day, expected",
    [
        pytest.param(("naive", "2017-01-01", "fallback_naive"), {"a": 0.98, "b": 0.97}, ["a", "b"],
                     "2017-03-01", ("b", "2017-03-01", "promote"), id="the best of those that qualify"),
        pytest.param(("a", "2017-01-01", "promote"), {"a": 0.98, "b": 0.977}, ["a", "b"],
                     "2017-03-01", ("a", "2017-01-01", "keep"), id="a little better is not enough"),
        pytest.param(("a", "2017-01-01", "keep"), {"a": 0.98, "b": 0.97}, ["b"],
                     "2017-03-01", ("b", "2017-03-01", "promote"), id="clearly better is"),
        pytest.param(("a", "2017-02-20", "promote"), {"a": 0.98, "b": 0.9}, ["a", "b"],
                     "2017-03-01", ("a", "2017-02-20", "keep"), id="not so soon after a change"),
        pytest.param(("a", "2017-02-20", "promote"), {"a": 1.001, "b": 0.9}, ["b"],
                     "2017-03-01", ("naive", "2017-03-01", "fallback_naive"), id="worse than naive goes at once"),
        pytest.param(("a", "2017-01-01", "keep"), {"a": 0.999, "b": 1.2}, [],
                     "2017-03-01", ("a", "2017-01-01", "keep"), id="while it beats naive it stays"),
        pytest.param(("naive", "2017-01-01", "fallback_naive"), {"a": 0.98}, [],
                     "2017-03-01", ("naive", "2017-01-01", "fallback_naive"), id="nothing qualifies"),
    ],
)  # fmt: skip
def test_hysteresis(
    reign: tuple[str, str, str], relative: dict[str, float], allowed: list[str], day: str,
    expected: tuple[str, str, str],
) -> None:  # fmt: skip
    assert reviewed(Reign(*reign), "naive", relative, allowed, REVIEW, day) == Reign(*expected)


def test_reigns_name_those_that_were_taken_down_too() -> None:
    made = errors({"a": 0.0, "b": 0.0}, coins=1)
    seats = np.zeros((1, len(made.days)), dtype=np.int64)
    seats[0, 3:5], seats[0, 7:] = 1, 2
    replayed = replace(replay(made, 1, POLICY, pooled=[]), champions=seats)
    assert reigns_of(made, replayed, "coin0") == [
        (made.days[0], "naive.last"),
        (made.days[3], "a"),
        (made.days[5], "naive.last"),
        (made.days[7], "b"),
    ]


def test_gated_error_is_exactly_one_where_nobody_was_promoted_and_the_champions_where_one_was() -> None:
    made = errors({"good": 0.3}, coins=2, noise=0.02)
    made.error[1, 1] = made.naive[1, 1] * 1.1
    verdict = replay(made, 1, POLICY, pooled=[])
    first, second = gated(made, verdict)
    assert second == 1.0
    start = int(np.argmax(verdict.champions[0] == 1))
    assert 0 < start < 36
    shown = made.naive[0, 0, :start].sum() + made.error[0, 1, start:].sum()
    assert first == pytest.approx(shown / made.naive[0, 0].sum())


def test_samples_draw_whole_groups_of_neighbours() -> None:
    counts = drawn(7, 3, 500, seed=0)
    assert counts.shape == (7, 500)
    assert (counts[0] == counts[1]).all()
    assert (counts[0] == counts[2]).all()
    assert (counts[3] == counts[5]).all()
    assert counts[[0, 3, 6]].sum(axis=0).tolist() == [3.0] * 500


def test_a_bootstrap_interval_of_the_ratio_is_as_wide_as_it_should_be() -> None:
    made = errors({"m": 0.0}, blocks=400, noise=0.2, seed=5)
    known = evidence(made, 400, 1, 1, POLICY)
    # The error of a ratio of sums with independent noise.
    weights = made.naive[0, 0]
    expected = 0.2 * np.sqrt((weights**2).sum()) / weights.sum()
    half = (known.high[0, 1] - known.low[0, 1]) / 2 / NormalDist().inv_cdf(0.975)
    assert half == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    "share, freedom, table", [(0.975, 10, 2.228), (0.995, 35, 2.724), (0.9995, 30, 3.646)]
)
def test_students_quantile_is_that_of_the_tables(share: float, freedom: int, table: float) -> None:
    assert student(share, freedom) == pytest.approx(table, rel=3e-3)


def put_scores(pfs: Path, made: Errors, rows: int = 400, **models: dict[str, Any]) -> None:
    """Write score files of these errors, one day ahead; `models` are added to what is said of a model."""
    for c, coin in enumerate(made.coins):
        found = {}
        for m, model in enumerate(made.models):
            blocks = [
                [day, int(made.n[c, m, k]), float(made.error[c, m, k]), float(made.naive[c, m, k])]
                for k, day in enumerate(made.days)
            ]
            relative = made.error[c, m].sum() / made.naive[c, m].sum()
            numbers = dict.fromkeys(("smape", "dir", "dir_majority", "cov80", "width", "winkler"), 0.5)
            found[model] = {
                "status": "ok",
                "global": False,
                "example": False,
                "params": {"family": model},
                "params_sha256": model,
                "horizons": {"1": {"n": 360, "rel_mae": float(relative), **numbers, "blocks": blocks}},
                **models.get(model, {}),
            }
        content = {"schema": "crypto.score/1", "slug": coin, "rows": rows, "models": found}
        write_json(pfs / "score" / f"{coin}.json", content)


def run(pfs: Path, **policy: Any) -> Path:
    write_json(pfs / "policy/promote.json", {**POLICY, **policy})
    compare.run(pfs, pfs / "out")
    return pfs / "out"


def test_the_verdict_comes_with_its_evidence_and_the_leaderboard_has_a_row_for_each_file(pfs: Path) -> None:
    skipped = {"status": "skipped", "reason": "few_residuals", "horizons": {}}
    made = errors({"good": 0.15, "mean": 0.01, "none": 0.0}, coins=3, noise=0.02)
    put_scores(pfs, made, none=skipped)
    out = run(pfs)
    found = json.loads((out / "champions/coin1.json").read_text())
    assert (found["schema"], found["slug"]) == ("crypto.champion/1", "coin1")
    first = found["h"]["1"]
    assert (first["champion"], first["decision"]) == ("good", "keep")
    assert first["rel_mae"] == pytest.approx(0.85, abs=0.02)
    assert first["ci95"][0] < first["rel_mae"] < first["ci95"][1] < first["evidence"]["upper"] < 1
    assert first["challenger"]["model"] == "mean"
    assert (first["since"], first["reviewed"]) <= (made.days[-1], made.days[-1])
    assert [reign["champion"] for reign in first["reigns"]] == ["naive.last", "good"]
    assert first["reigns"][0]["since"] <= made.days[0] < first["reigns"][1]["since"] == first["since"]
    with (out / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["good", "mean", "naive.last", "none"]
    assert [row["coins_1d"] for row in rows] == ["3", "3", "3", ""]
    assert float(rows[0]["beats_naive_1d"]) == 1.0
    assert rows[2]["rel_mae_1d"] == "1.0"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["gated"]["1"]["champions"] == {"good": 3}
    best = summary["models"][0]["h"]["1"]
    assert best["ci95"][0] < best["rel_mae"] < best["ci95"][1]
    assert (len(best["quarters"]), best["forecasts"]) == (4, 3 * 360)
    assert (out / "comparison/1d.png").read_bytes().startswith(b"\x89PNG")


def test_examples_are_shown_and_never_promoted(pfs: Path) -> None:
    put_scores(pfs, errors({"seed.linear": 0.5}, noise=0.02), **{"seed.linear": {"example": True}})
    out = run(pfs)
    assert json.loads((out / "champions/coin0.json").read_text())["h"]["1"]["champion"] == "naive.last"
    assert (out / "leaderboard.csv").read_text().count("\n") == 3


def test_young_coins_have_a_verdict_and_do_not_count_in_the_table(pfs: Path) -> None:
    put_scores(pfs, errors({"m": 0.0}, coins=2), rows=100)
    out = run(pfs)
    assert len(list((out / "champions").iterdir())) == 2
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["coins"], summary["counted"]) == (2, 0)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"block_days": 15}, "policy/promote.json: 'block_days' must be a multiple of 10"),
        ({"review_days": 5}, "policy/promote.json: 'review_days' must be a multiple of 10"),
        ({"min_gian": 0.1}, "policy/promote.json: unknown parameter 'min_gian'; known: block_days"),
        ({"own_blocks": 0}, "policy/promote.json: 'own_blocks' must be above 0"),
        ({"boot": 0}, "policy/promote.json: 'boot' must be above 0"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(pfs: Path, changes: dict[str, Any], sentence: str) -> None:
    put_scores(pfs, errors({"m": 0.0}))
    with pytest.raises(BadInput) as caught:
        run(pfs, **changes)
    assert sentence in str(caught.value)


def test_a_policy_from_before_there_were_own_blocks_means_the_published_number(pfs: Path) -> None:
    put_scores(pfs, errors({"good": 0.15}, noise=0.02))
    found = json.loads((run(pfs) / "champions/coin0.json").read_text())
    assert found["h"]["1"]["evidence"]["blocks"] == 34
    before = {key: value for key, value in POLICY.items() if key != "own_blocks"}
    write_json(pfs / "policy/promote.json", before)
    compare.run(pfs, pfs / "before")
    assert json.loads((pfs / "before/champions/coin0.json").read_text()) == found
    assert compare.DEFAULTS["own_blocks"] == POLICY["own_blocks"]


def test_the_same_scores_give_the_same_bytes(pfs: Path) -> None:
    put_scores(pfs, errors({"a": 0.1, "b": 0.1}, coins=2))
    first = {path.name: path.read_bytes() for path in run(pfs).rglob("*") if path.is_file()}
    assert {path.name: path.read_bytes() for path in run(pfs).rglob("*") if path.is_file()} == first
