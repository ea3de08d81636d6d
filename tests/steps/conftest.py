"""Coins to train on: made from returns that the test knows, written by the stages that write them in the pipeline.

Read next: ../../steps/crypto/standardise.py, ../../steps/crypto/split.py (whose files these are).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pachlet.config import default_envs
from pachlet.worker.process import ProcessRunner
from steps.crypto import backtest, compare, score, split, standardise
from steps.crypto.formats import FOLDS, write_csv, write_json
from steps.crypto.series import Array, Series, read_series

ROOT = Path(__file__).parents[2]

AddCoin = Callable[..., Series]
AddParams = Callable[..., None]
Judge = Callable[..., None]
MakeReturns = Callable[..., Array]


@pytest.fixture
def returns() -> MakeReturns:
    """Seeded AR(1) returns: with phi 0 a random walk."""

    def make(count: int, phi: float = 0.0, sigma: float = 0.05, seed: int = 1) -> Array:
        noise = np.random.default_rng(seed).normal(0, sigma, count)
        values = np.zeros(count)
        for day in range(count):
            values[day] = phi * (values[day - 1] if day else 0.0) + noise[day]
        return values

    return make


@pytest.fixture(scope="session")
def image_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of the back-test's image, which has TensorFlow."""
    runner = ProcessRunner(ROOT, default_envs())
    try:
        image = runner.resolve("pachlet/crypto-backtest")
        prepared = runner.prepare(image, tmp_path_factory.mktemp("image") / "snapshot", print)
    finally:
        runner.close()
    assert prepared.environment is not None
    return prepared.environment / "bin" / "python"


@pytest.fixture
def pfs(tmp_path: Path) -> Path:
    """A /pfs folder in which coins and parameters are put."""
    return tmp_path / "pfs"


@pytest.fixture
def add_coin(pfs: Path) -> AddCoin:
    """Write a coin's series.csv, meta.json and folds.json from its log-returns; missing days are left out."""

    def add(
        slug: str, log_returns: Sequence[float] | Array, *, price: float = 100.0, missing: Sequence[int] = ()
    ) -> Series:
        closes = price * np.exp(np.concatenate([[0.0], np.cumsum(log_returns)]))
        daily = pd.Series(closes, index=pd.date_range("2016-01-01", periods=len(closes), freq="D"))
        frame = standardise.standardise(daily.drop(daily.index[list(missing)]))
        folder = pfs / "standardise" / slug
        rows = (standardise.cells(day) for day in frame.itertuples())
        write_csv(folder / "series.csv", standardise.COLUMNS, rows)
        write_json(
            folder / "meta.json", {"schema": "crypto.series/1", "slug": slug, "name": slug.capitalize()}
        )
        folds = {"schema": FOLDS, "slug": slug} | split.folds([day.date() for day in frame.index])
        write_json(pfs / "split" / slug / "folds.json", folds)
        return read_series(folder)

    return add


@pytest.fixture
def add_params(pfs: Path) -> AddParams:
    """Put a parameter file: the published one of the family, with changes."""
    published = ROOT / "data" / "params"

    def add(family: str, pid: str, /, **changes: Any) -> None:
        content = json.loads(next((published / family).glob("*.json")).read_text())
        write_json(pfs / "params" / family / f"{pid}.json", {**content, **changes})

    return add


@pytest.fixture
def judge(pfs: Path) -> Judge:
    """Back-test, score and compare all coins and parameters that were added; the verdicts become the champions."""
    published = ROOT / "data" / "policy" / "promote.json"

    def run(**policy: Any) -> None:
        write_json(pfs / "policy" / "promote.json", {**json.loads(published.read_text()), **policy})
        for stage, out in ((backtest, "backtest"), (score, "score"), (compare, "champions")):
            shutil.rmtree(pfs / out, ignore_errors=True)
            stage.run(pfs, pfs / out)

    return run
