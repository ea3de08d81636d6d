"""`make scores`: what it needs, what it takes of the pipelines, and that a missed goal is told.

Read next: ../../pipelines/scores.py, ../../pipelines/goals.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.goals import JUDGED, NAMED, crypto_goals, ingest_goals, iris_goals, table
from pipelines.making import at_work
from pipelines.scores import specs_to_judge
from steps.crypto.seeds import RECIPES

ROOT = Path(__file__).parents[2]


def summary(**changes: Any) -> dict[str, Any]:
    """A summary of compare with which every goal is met, but for the changes to the judged model one day ahead."""
    found = {"rel_mae": 0.993, "beats_naive": 0.8, "worst": 1.01, "worst_coin": "x", "cov80": 0.78}
    wide = {"width": 0.2, "winkler": 0.4}
    example = {"rel_mae": 4.0, "forecasts": 1234, "coins": 82}
    return {
        "models": [
            {
                "model": JUDGED,
                "example": False,
                "h": {"1": {**found, **wide, **changes}, "10": {**found, **wide, "rel_mae": 1.004}},
            },
            {"model": "naive.last", "example": False, "h": {"1": {**found, **wide}, "10": {**found, **wide}}},
            {"model": "seed.linear", "example": True, "h": {"1": example}},
        ],
        "gated": {"10": {"never_promoted": 7, "never_promoted_exactly_naive": 7, "rel_mae": 1.0}},
    }


def missed(found: dict[str, Any]) -> list[str]:
    return [goal.what for goal in crypto_goals(found) if not goal.met]


def test_goals_that_are_met_and_goals_that_are_not() -> None:
    assert missed(summary()) == []
    assert missed(summary(rel_mae=0.9951)) == [f"median error of {JUDGED}, naive = 1"]
    assert missed(summary(beats_naive=0.69)) == ["better than naive on a share of coins"]
    assert missed(summary(worst=1.031)) == ["worst coin (x)"]
    assert missed(summary(cov80=0.75)) == [f"80 % intervals of {JUDGED} hold, 1 ahead"]
    assert missed(summary(cov80=None)) == [f"80 % intervals of {JUDGED} hold, 1 ahead"]


def test_what_is_not_there_is_missed_and_not_left_out() -> None:
    found = summary()
    found["models"] = []
    assert len(missed(found)) == 9
    found = summary()
    found["models"][2]["h"]["1"]["rel_mae"] = 1.9
    assert missed(found) == ["seed.linear is worse than naive at 1 day"]
    found["gated"]["10"]["never_promoted_exactly_naive"] = 6
    assert "exactly naive where nobody was promoted" in missed(found)


def test_a_total_that_differs_is_named() -> None:
    totals = {"rows_total": 10, "rows_after_quarantine": 7, "rows_quarantined": 3, "files": 2}
    assert [goal.met for goal in ingest_goals(totals, {"files": 2, "names": []})] == [True, True]
    first, second = ingest_goals({**totals, "rows_quarantined": 2}, {"files": 3})
    assert (first.met, first.reached, second.met) == (False, "0 of 1; not files", False)


def test_flowers_are_named_as_in_the_readme_and_the_choice_is_by_its_rule() -> None:
    assert all(goal.met for goal in iris_goals(NAMED, {"rule": "1se", "chosen": "linear"}, 0.97))
    assert not any(goal.met for goal in iris_goals({"/1": ["Iris-setosa"]}, {}, 0.9))


def test_the_table_says_what_was_missed() -> None:
    lines = list(table(list(crypto_goals(summary(worst=1.2)))))
    (line,) = (line for line in lines if line.startswith("MISSED"))
    assert "worst coin (x)" in line
    assert any(line.endswith("4.00, 1,234 forecasts of 82 coins") for line in lines)
    assert "1.2000" in line


def test_every_recipe_of_the_originals_is_tried() -> None:
    folder = ROOT / "data" / "scores" / "params" / "seed"
    assert {path.stem for path in folder.iterdir()} == set(RECIPES)


def test_the_evaluation_takes_what_leads_to_the_verdicts_and_no_more() -> None:
    assert {spec["pipeline"]["name"] for spec in specs_to_judge("crypto")} == (
        {"ingest", "audit", "standardise", "split", "backtest", "backtest-global", "score", "compare"}
    )


@pytest.mark.parametrize("data", [[], ["--data", "/nowhere"]])
def test_without_data_it_says_what_it_needs(data: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.scores", *data], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "crypto/raw/<Coin>.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_one_is_told_who_is_at_work(tmp_path: Path) -> None:
    raw = tmp_path / "crypto" / "raw"
    raw.mkdir(parents=True)
    (raw / "A.csv").write_text("x")
    (tmp_path / "crypto" / "EXPECTED.json").write_text("{}")
    command = [sys.executable, "-m", "pipelines.scores", "--data", tmp_path, "--data-dir", tmp_path / "made"]
    with at_work(tmp_path / "made", "make scores"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        f"make scores: another make scores is at work on {tmp_path / 'made'} (process {os.getpid()})"
        in done.stderr
    )


def test_stop_and_clean_treat_the_folder_of_the_scores_too(tmp_path: Path) -> None:
    made = tmp_path / "scores"
    made.mkdir()
    command = ["make", "--dry-run", "--old-file=.venv/ready", "clean", f"SCORES_DIR={made}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f'pachlet stop --data-dir "{made}"' in said
    assert f'"{made}"' in said.partition("rm -rf")[2]
    assert ".pachlet-scores" in (ROOT / ".gitignore").read_text().split()
