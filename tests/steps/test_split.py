"""The folds walk forward without overlap, and a new day leaves the earlier ones where they were.

Read next: ../../steps/crypto/split.py.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pachlet.step import BadInput
from steps.crypto import split
from steps.crypto.formats import FOLDS
from steps.crypto.split import PLAN, folds
from steps.crypto.walkforward import shared

LENGTHS = st.integers(60, 900)
STEP = PLAN["refit_days"]
STARTS = st.dates(date(2013, 1, 1), date(2015, 1, 1))


def days_from(start: date, length: int) -> list[date]:
    return [start + timedelta(days=i) for i in range(length)]


def refits(days: list[date]) -> list[dict[str, Any]]:
    found = folds(days)["refits"]
    assert isinstance(found, list)
    return found


@given(STARTS, LENGTHS)
def test_folds_cover_the_end_of_the_history_once(start: date, length: int) -> None:
    days = days_from(start, length)
    found = refits(days)
    tested: list[date] = []
    for fold in found:
        first, last = date.fromisoformat(fold["test_start"]), date.fromisoformat(fold["test_end"])
        assert fold["date"] == fold["train_end"] == fold["test_start"]
        assert days.index(date.fromisoformat(fold["train_end"])) + 1 >= PLAN["min_train"]
        tested += [day for day in days if first <= day <= last]
    assert tested == days[-len(tested) :]
    assert 20 <= len(tested) <= PLAN["test_days"] + 1
    assert (
        max((date.fromisoformat(f["test_end"]) - date.fromisoformat(f["date"])).days for f in found)
        <= PLAN["refit_days"]
    )


@given(STARTS, LENGTHS)
def test_new_day_moves_no_refit(start: date, length: int) -> None:
    days = days_from(start, length + 1)
    before, after = refits(days[:-1]), refits(days)
    kept = {fold["date"] for fold in before} & {fold["date"] for fold in after}
    assert len(kept) >= min(len(before), len(after)) - 1
    assert {fold["date"] for fold in after} - kept <= {days[-1].isoformat()}


@given(STARTS, st.integers(130, 900), st.integers(1, 4))
def test_a_grid_step_more_changes_no_earlier_forecasts_refit_however_seldom_one_refits(
    start: date, length: int, every: int
) -> None:
    days = days_from(start, length + STEP)

    def serving(known: list[date]) -> dict[str, str]:
        """The last day of training behind each origin."""
        return {
            day.isoformat(): refit.train_end
            for refit in shared("coin", folds(known), every)
            for day in known
            if refit.test_start <= day.isoformat() <= refit.test_end
        }

    before, after = serving(days[:-STEP]), serving(days)
    common = before.keys() & after.keys()
    assert len(common) >= len(before) - 2 * STEP
    assert {day: before[day] for day in common} == {day: after[day] for day in common}


def test_run_writes_one_file_for_each_coin(tmp_path: Path) -> None:
    folder = tmp_path / "standardise" / "coin"
    folder.mkdir(parents=True)
    days = days_from(date(2017, 1, 1), 60)
    (folder / "series.csv").write_text("date,log_close\n" + "".join(f"{day},1.0\n" for day in days))
    split.run(tmp_path, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "coin" / "folds.json").read_text())
    assert (written["schema"], written["slug"], written["horizons"]) == (FOLDS, "coin", [1, 10])


def test_too_short_a_series_is_refused_with_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "standardise" / "coin"
    folder.mkdir(parents=True)
    (folder / "series.csv").write_text("date\n2017-01-01\n")
    with pytest.raises(BadInput, match="coin has 1 days"):
        split.run(tmp_path, tmp_path / "out")
