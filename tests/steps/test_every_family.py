"""What holds for every family of models, on whatever prices: nothing is known before its day, a path is a recursion.

The properties are those that the programs of 2017 lacked. Their own recipes, kept as examples, must look ahead as
little as the others: they lose by what they are, not by how they are judged.

Read next: walks.py, ../../steps/crypto/families.py, test_forecast.py (the recursion alone), test_global.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.crypto.families import FAMILIES
from steps.crypto.features import LIMIT
from steps.crypto.forecast import HORIZON
from steps.crypto.series import Array, Series
from steps.crypto.standardise import standardise
from tests.steps.walks import ROOT, START, Elsewhere, Walk, elsewhere, series_of

DAYS = 150
SMALL: Mapping[str, Mapping[str, Any]] = {
    "boosting": {"trees": 5, "min_rows": 30, "min_leaf": 10, "refit_every": 1},
    "linear": {"alpha": 1.0, "min_rows": 30},
    "lstm": {"lags": 4, "units": 4, "epochs": 2, "min_rows": 30, "rate": 0.05, "refit_every": 1},
    "seed": {"every": 40},
    "svm": {"C": 1.0, "min_rows": 30, "refit_every": 1},
}
"""Changes to the published parameters: models that learn something of so short a history, in little time."""


def published(family: str, pid: str) -> dict[str, Any]:
    folder = "scores/params" if family == "seed" else "params"
    content = json.loads((ROOT / "data" / folder / family / f"{pid}.json").read_text())
    return {**content, **SMALL.get(family, {})}


MODELS = {
    f"{family}.{pid}": (family, published(family, pid))
    for family, pid in [
        ("naive", "last"),
        ("drift", "all"),
        ("linear", "ridge"),
        ("svm", "rbf1"),
        ("boosting", "small"),
        ("lstm", "small"),
        *[("seed", path.stem) for path in sorted((ROOT / "data/scores/params/seed").glob("*.json"))],
    ]
}
every_model = pytest.mark.parametrize("model", MODELS)
recursive = pytest.mark.parametrize(
    "model", [name for name, (family, _) in MODELS.items() if FAMILIES[family].paths is None]
)
few = settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
prices = st.tuples(
    st.integers(0, 2**32 - 1), st.floats(-0.6, 0.6), st.sampled_from([1e-6, 0.01, 1.0, 5000.0])
)


@pytest.fixture(scope="module")
def image(image_python: Path) -> Iterator[Elsewhere]:
    """A process with the libraries of the back-test's image."""
    with elsewhere(image_python) as process:
        yield process


@pytest.fixture
def said(model: str, image: Elsewhere) -> Callable[[Series], Walk]:
    """What a model says of a series."""
    return partial(image.walk, *MODELS[model])


def returns(seed: int, phi: float) -> Array:
    """Log-returns that hang together a little, as a coin's do."""
    noise = np.random.default_rng(seed).standard_t(4, DAYS) * 0.03
    values = np.zeros(DAYS)
    for day in range(1, DAYS):
        values[day] = phi * values[day - 1] + noise[day]
    return values[1:]


def coin(moves: Array, price: float = 1.0) -> Series:
    """A coin as standardise makes it, volatility and all."""
    closes = price * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
    frame = standardise(pd.Series(closes, index=pd.date_range(START, periods=len(closes), freq="D")))
    return series_of({"log_close": frame["log_close"], "ret": frame["ret"], "vol": frame["vol30"]})


def assert_same(before: Walk, after: Walk, until: int) -> None:
    """To the last bits only: a sum's rounding depends on how many frames are multiplied at once."""
    early = [origin for origin in before if origin <= until]
    assert early
    assert early == [origin for origin in after if origin <= until]
    np.testing.assert_allclose(
        [before[origin] for origin in early], [after[origin] for origin in early], rtol=1e-7, atol=1e-12
    )


@every_model
@few
@given(market=prices, cut=st.integers(90, DAYS - 10), factor=st.floats(-5, 5))
def test_no_look_ahead_whatever_comes_after_an_origin_its_forecast_is_the_same(
    said: Callable[[Series], Walk], model: str, market: tuple[int, float, float], cut: int, factor: float
) -> None:
    seed, phi, price = market
    moves = returns(seed, phi)
    other = moves.copy()
    other[cut:] = np.roll(moves, 7)[cut:] * factor + 0.02
    assert_same(said(coin(moves, price)), said(coin(other, price)), until=cut)


@every_model
@few
@given(market=prices, later=st.integers(1, 40))
def test_no_look_ahead_a_later_cutoff_leaves_earlier_forecasts_as_they_were(
    said: Callable[[Series], Walk], model: str, market: tuple[int, float, float], later: int
) -> None:
    seed, phi, price = market
    moves = returns(seed, phi)
    early = said(coin(moves[: len(moves) - later], price))
    assert_same(early, said(coin(moves, price)), until=max(early))


@every_model
@few
@given(market=prices)
def test_every_forecast_is_of_ten_days_positive_and_finite(
    said: Callable[[Series], Walk], model: str, market: tuple[int, float, float]
) -> None:
    seed, phi, price = market
    series = coin(returns(seed, phi), price)
    paths = np.array(list(said(series).values()))
    assert paths.shape[1] == HORIZON
    points = np.exp(series.log_close[list(said(series))])[:, None] * np.exp(paths)
    assert np.isfinite(points).all()
    assert (points > 0).all()


@pytest.mark.parametrize("model", [name for name in MODELS if not name.startswith("seed.")])
@few
@given(market=prices)
def test_a_millionth_of_the_prices_has_a_millionth_of_the_forecasts(
    said: Callable[[Series], Walk], model: str, market: tuple[int, float, float]
) -> None:
    seed, phi, price = market
    moves = returns(seed, phi)
    dear, cheap = said(coin(moves, price)), said(coin(moves, price * 1e-6))
    assert dear.keys() == cheap.keys()
    # In volatilities, and as near as a solver comes to its solution; an error of so many dollars is another forecast.
    differences = np.array(list(dear.values())) - np.array(list(cheap.values()))
    assert (np.abs(differences) / coin(moves).vol[list(dear)][:, None] < 0.01).all()


@recursive
@few
@given(market=prices)
def test_a_path_neither_explodes_nor_runs_away(
    said: Callable[[Series], Walk], model: str, market: tuple[int, float, float]
) -> None:
    seed, phi, price = market
    series = coin(returns(seed, phi), price)
    found = said(series)
    steps = np.diff(np.array(list(found.values())), axis=1, prepend=0.0) / series.vol[list(found)][:, None]
    assert (np.abs(steps) <= LIMIT + 1e-9).all()
    # What hangs together from day to day fades: the last days' steps are no larger than the first's.
    first, last = np.abs(steps[:, :2]).mean(), np.abs(steps[:, -2:]).mean()
    assert last <= first + 0.35


def test_the_originals_network_does_not_see_the_last_price(image: Elsewhere) -> None:
    """The newest frame ends two prices before the last, and its scale is fifty days old: the mistakes are kept."""
    moves = returns(1, 0.0)
    other = np.append(moves[:-2], [0.5, -0.8])  # another last price, and another before it
    params = {**MODELS["seed.lstm"][1], "every": 1, "min_rows": len(moves) + 1}
    said = {}
    for series in (coin(moves), coin(other)):
        [(origin, path)] = image.walk("seed", params, series).items()
        said[series.last_price] = np.exp(series.log_close[origin] + np.array(path))
    first, second = said.values()
    np.testing.assert_allclose(first, second, rtol=1e-5)
    # No prediction is fed back: each day is scaled by another price of fifty days ago.
    scale = np.exp(coin(moves).log_close[-50:-40])
    assert np.corrcoef(first, scale)[0, 1] > 0.9
