"""What models are shown: each group finds what it is there for, and nothing shows a day before it has come.

Read next: ../../steps/crypto/feature_groups.py, ../../steps/crypto/rows.py, test_global.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pachlet.step import BadInput
from steps.crypto import standardise
from steps.crypto.backtest_global import walk
from steps.crypto.families import FAMILIES
from steps.crypto.family import Params
from steps.crypto.feature_groups import GROUPS, OWN_GROUPS, market_of, show, training_rows
from steps.crypto.features import LIMIT, origins
from steps.crypto.forecast import HORIZON, recurse
from steps.crypto.formats import FOLDS
from steps.crypto.global_fit import check_global, fit
from steps.crypto.linear import LINEAR
from steps.crypto.models import log_moves
from steps.crypto.panel import make_panel
from steps.crypto.rows import ask, check_condition, chosen_days, database
from steps.crypto.series import Array, Series, read_series
from steps.crypto.split import folds
from steps.crypto.train_global import run as train_global
from steps.crypto.walkforward import OutOfSample, out_of_sample

LAD: dict[str, Any] = {
    "schema": "crypto.params/1",
    "family": "global",
    "method": "lad",
    "ridge": 1.0,
    "lags": 3,
    "rows": "",
    "min_rows": 30,
    "refit_every": 1,
}
RIDGE: dict[str, Any] = {"family": "linear", "alpha": 1.0, "lags": 3, "min_rows": 30, "refit_every": 1}


def coin(
    returns: Sequence[float] | Array,
    volume: Sequence[float] | Array | None = None,
    missing: Sequence[int] = (),
    slug: str = "coin",
) -> Series:
    """Make a coin's series as standardise does."""
    days = pd.date_range("2016-01-01", periods=len(returns) + 1, freq="D")
    kept = days.drop(days[list(missing)])
    closes = pd.Series(100 * np.exp(np.concatenate([[0.0], np.cumsum(returns)])), index=days)[kept]
    dollars = None if volume is None else pd.Series(np.asarray(volume, dtype=float), index=days)[kept]
    frame = standardise.standardise(closes, dollars)
    return Series(
        slug=slug,
        dates=tuple(day.date().isoformat() for day in frame.index),
        **{
            ours: frame[theirs].to_numpy(dtype=float)
            for ours, theirs in (("log_close", "log_close"), ("ret", "ret"), ("vol", "vol30"))
        },
        observed=frame["obs"].to_numpy() > 0,
        volume=frame["volume"].to_numpy(dtype=float),
        sha256="",
    )


def folds_of(series: Series) -> dict[str, Any]:
    days = [date.fromisoformat(day) for day in series.dates]
    return {"schema": FOLDS, "slug": series.slug, **folds(days)}


def cut(series: Series, days: int) -> Series:
    """Keep the first days of a series."""
    arrays = {
        name: getattr(series, name)[:days] for name in ("log_close", "ret", "vol", "observed", "volume")
    }
    return replace(series, dates=series.dates[:days], **arrays)


def backtest_own(series: Series, params: Params) -> OutOfSample:
    return out_of_sample(series, folds_of(series), params, FAMILIES[params["family"]])


def backtest_all(coins: Sequence[Series], params: Params) -> dict[tuple[str, str], list[float]]:
    """Return each forecast path by coin and origin."""
    panel = make_panel(coins, params)
    forecast, _ = walk(panel, [folds_of(each) for each in coins], params)
    return {
        (coins[number].slug, coins[number].dates[at]): path.tolist()
        for number, at, path in zip(panel.coin, panel.at, forecast, strict=True)
        if not np.isnan(path[0])
    }


def relative_error(series: Series, rows: OutOfSample) -> float:
    known = ~np.isnan(rows.actual[:, 0])
    error = np.abs(rows.forecast - rows.actual)[known, 0].mean()
    return float(error / np.abs(rows.actual)[known, 0].mean())


DAYS = 130
sizes = st.one_of(st.just(0.0), st.floats(-0.3, 0.3), st.sampled_from([-3.0, 3.0]))
moves = st.builds(
    lambda seed, some: np.where(np.isnan(some), np.random.default_rng(seed).normal(0, 0.03, DAYS), some),
    st.integers(0, 99),
    arrays(float, DAYS, elements=sizes, fill=st.just(np.nan)),
)
traded = st.one_of(st.just(0.0), st.just(np.nan), st.floats(1.0, 1e9))
dollars = arrays(float, DAYS + 1, elements=traded, fill=st.just(1e5))
gaps = st.sets(st.integers(20, DAYS - 20), max_size=8).map(sorted)


@settings(max_examples=40, deadline=None)
@given(first=moves, second=moves, traded=dollars, missing=gaps, kept=st.integers(40, DAYS))
def test_what_is_shown_is_what_was_known_that_day(
    first: Array, second: Array, traded: Array, missing: list[int], kept: int
) -> None:
    """Cutting off the future, of this coin and of the others, leaves what is shown as it was, to the last bit."""
    whole = coin(first, traded, missing), coin(second)
    early = tuple(cut(each, kept) for each in whole)
    at = origins(early[0], 3)
    late = show(whole[0], 3, at, GROUPS, market_of(whole))
    soon = show(early[0], 3, at, GROUPS, market_of(early))
    for ahead in (0, HORIZON - 1):
        np.testing.assert_array_equal(late.beside(ahead), soon.beside(ahead))
    np.testing.assert_array_equal(late.columns(), soon.columns())
    assert np.isfinite(late.columns()).all()
    assert np.abs(late.columns()).max(initial=0) <= LIMIT


@settings(max_examples=8, deadline=None)
@given(
    first=moves,
    second=moves,
    traded=dollars,
    changed=st.integers(60, DAYS - 5),
    label=st.sampled_from(["return", "excess"]),
)
def test_altering_the_future_alters_no_forecast_made_before(
    first: list[float], second: list[float], traded: list[float], changed: int, label: str
) -> None:
    """Other prices and volumes after a day, of both coins: what was forecast until then is as it was."""
    loud = np.where(np.arange(DAYS + 1) > changed, 1e9, traded)
    others = [np.where(np.arange(DAYS) < changed, each, 0.2 - each) for each in (first, second)]
    before = coin(first, traded, slug="a"), coin(second, slug="b")
    after = coin(others[0], loud, slug="a"), coin(others[1], slug="b")
    params = {**LAD, "features": list(GROUPS), "label": label}
    made, again = backtest_all(before, params), backtest_all(after, params)
    last = before[0].dates[changed]
    early = {key: path for key, path in made.items() if key[1] <= last}
    assert early
    assert early == {key: path for key, path in again.items() if key[1] <= last}
    own = {**RIDGE, "features": list(OWN_GROUPS)}
    one, other = backtest_own(before[0], own), backtest_own(after[0], own)
    until = one.origins <= changed
    assert until.any()
    np.testing.assert_array_equal(one.forecast[until], other.forecast[other.origins <= changed])


def planted(group: str, seed: int = 0, days: int = 500) -> tuple[Array, Array]:
    """Return returns that only one group of features foresees, and dollars."""
    random = np.random.default_rng(seed)
    noise, traded = random.normal(0, 0.02, days), random.lognormal(12, 1, days + 1)
    if group == "calendar":  # a week with a good day
        place = (date(2016, 1, 2).toordinal() + np.arange(days)) % 7
        return noise + 0.04 * (place == 3) - 0.04 / 6 * (place != 3), traded
    returns = noise.copy()
    for day in range(1, days):
        if group == "volume":  # a move on great volume goes back, one on little goes on
            unusual = np.clip(np.log(traded[day]) - 12, -1, 1)
            returns[day] -= 0.8 * unusual * returns[day - 1]
        elif group == "volatility":  # after a wild day it falls, after a calm one it rises
            returns[day] -= 0.6 * (abs(returns[day - 1]) - 0.016)
    return returns, traded


@pytest.mark.parametrize("group", ["volatility", "volume", "calendar"])
def test_a_group_finds_what_it_is_there_for(group: str) -> None:
    series = coin(*planted(group))
    blind = relative_error(series, backtest_own(series, {**RIDGE, "features": ["lags"]}))
    seeing = relative_error(series, backtest_own(series, {**RIDGE, "features": ["lags", group]}))
    assert seeing < 0.97 < blind
    others = [each for each in OWN_GROUPS if each != group]
    assert relative_error(series, backtest_own(series, {**RIDGE, "features": others})) > seeing + 0.02


def test_the_market_foretells_a_coin_that_lags_behind_it() -> None:
    random = np.random.default_rng(3)
    common = random.normal(0, 0.04, 400)
    leaders = [coin(common + random.normal(0, 0.01, 400), slug=f"leader{k}") for k in range(4)]
    behind = 0.8 * np.concatenate([[0.0], common[:-1]]) + random.normal(0, 0.01, 400)
    laggards = [coin(behind, slug=f"laggard{k}") for k in range(5)]
    coins = [*leaders, *laggards]

    def error(features: list[str]) -> float:
        made = backtest_all(coins, {**LAD, "features": features, "rows": "slug LIKE 'laggard%'"})
        actual = dict(zip(behind_days(), behind, strict=True))
        found = [
            (path[0] - actual[day], actual[day])
            for (slug, origin), path in made.items()
            if slug == "laggard0" and (day := next_day(origin)) in actual
        ]
        return float(np.abs([a for a, _ in found]).mean() / np.abs([b for _, b in found]).mean())

    def next_day(origin: str) -> str:
        return date.fromordinal(date.fromisoformat(origin).toordinal() + 1).isoformat()

    def behind_days() -> tuple[str, ...]:
        return laggards[0].dates[1:]

    assert error(["lags", "market"]) < 0.6 < 0.9 < error(["lags"])


def test_an_excess_return_is_what_a_coin_moves_beside_the_market() -> None:
    random = np.random.default_rng(4)
    common = random.normal(0, 0.05, 200)
    coins = [coin(common + random.normal(0, 0.005, 200), slug=f"coin{k}") for k in range(6)]
    plain, excess = (make_panel(coins, {"lags": 3, "label": label}) for label in ("return", "excess"))
    assert np.nanstd(excess.targets) < 0.3 * np.nanstd(plain.targets)
    assert excess.market is not None
    row = int(np.flatnonzero(plain.coin == 2)[50])
    mean = excess.market.at(plain.day[[row]] + 1)[0, 0]
    assert excess.targets[row] == pytest.approx(plain.targets[row] - mean)
    others = [
        (c.ret[1:] / c.vol[:-1])[plain.at[row]] for c in coins
    ]  # all coins' moves of the day after, each over the volatility that was known
    assert mean == pytest.approx(np.clip(others, -LIMIT, LIMIT).mean())


def test_a_coins_own_model_learns_from_the_rows_that_a_condition_names() -> None:
    """A coin that goes on by day and back by night: who learns from one half of the days foresees only that half."""
    random = np.random.default_rng(6)
    days, traded = 400, np.where(np.arange(401) % 20 < 10, 1e6, 1e3)
    moves = random.normal(0, 0.02, days)
    for day in range(1, days):
        moves[day] += (0.7 if traded[day] > 1e5 else -0.7) * moves[day - 1]
    series = coin(moves, traded)
    lags = {**RIDGE, "lags": 1, "min_rows": 5}
    signs = {}
    for rows in ("volume > 100000", "volume < 100000"):
        chosen = chosen_days(series, 1, rows)
        frames, targets = training_rows(series, 1, len(series) - 1, chosen=chosen)
        assert 0.4 * days < len(targets) < 0.6 * days
        signs[rows] = LINEAR.fit(frames, targets, lags).predict(np.ones((1, 1)))[0]  # type: ignore[misc]
        made = backtest_own(series, {**lags, "rows": rows})
        path = made.forecast[:, 0] / series.ret[made.origins]
        assert (np.sign(path) == np.sign(signs[rows])).all()
    assert signs["volume < 100000"] < -0.4 < 0.4 < signs["volume > 100000"]
    # Which days are forecast does not depend on it, and a condition that all meet is none.
    plain, same = backtest_own(series, lags), backtest_own(series, {**lags, "rows": "price > 0"})
    np.testing.assert_array_equal(plain.origins, made.origins)
    np.testing.assert_array_equal(plain.forecast, same.forecast)


def test_lags_alone_are_what_a_file_without_features_means() -> None:
    series = coin(np.random.default_rng(0).normal(0, 0.05, 200))
    plain, named = backtest_own(series, RIDGE), backtest_own(series, {**RIDGE, "features": ["lags"]})
    np.testing.assert_array_equal(plain.forecast, named.forecast)


def test_without_lags_a_model_sees_the_rest_and_forecasts_the_same_days() -> None:
    series = coin(*planted("calendar"))
    plain, without = (backtest_own(series, {**RIDGE, "features": f}) for f in (["lags"], ["calendar"]))
    np.testing.assert_array_equal(plain.origins, without.origins)
    # The tenth day has the weekday of the third.
    steps = np.diff(without.forecast, axis=1, prepend=0.0)
    np.testing.assert_allclose(steps[:, 7:], steps[:, :3])
    assert np.abs(steps[:, 1] - steps[:, 0]).min() > 0


def test_features_are_of_no_currency() -> None:
    random = np.random.default_rng(1)
    returns, traded = random.normal(0, 0.05, 100), random.lognormal(12, 1, 101)
    dear = coin(returns, traded)
    cheap = replace(dear, log_close=dear.log_close + np.log(1e-6))
    at = origins(dear, 3)
    shown = show(dear, 3, at, OWN_GROUPS).columns()
    np.testing.assert_array_equal(shown, show(cheap, 3, at, OWN_GROUPS).columns())
    # Of volume it is nearly so, but for the dollar that is added before the log.
    counted = replace(dear, volume=1000 * dear.volume)
    np.testing.assert_allclose(shown, show(counted, 3, at, OWN_GROUPS).columns(), atol=1e-3)


def test_a_stored_model_sees_the_market_of_the_day_that_it_forecasts_from(
    pfs: Any, add_coin: Callable[..., Series], returns: Callable[..., Array]
) -> None:
    from steps.crypto.cards import CARD
    from steps.crypto.formats import read_json, write_json

    add_coin("one", returns(300, phi=-0.3, seed=1))
    add_coin("two", returns(260, phi=-0.3, seed=2))  # its prices end forty days earlier
    params = {**LAD, "features": list(GROUPS)}
    write_json(pfs / "params/global/all.json", params)
    train_global(pfs, pfs / "train-global")
    folder = pfs / "train-global/global.all"
    card = read_json(folder / "card.json", CARD)
    assert len(card["market"]) == 2
    coins = [read_series(pfs / "standardise" / slug) for slug in ("one", "two")]
    panel = make_panel(coins, params)
    model = fit(panel.shown[panel.known(10**7)].columns(), panel.targets[panel.known(10**7)], params)
    for number, series in enumerate(coins):
        row = np.flatnonzero(panel.coin == number)[-1:]
        shown = panel.shown[row]
        expected = recurse(model, shown.lags, panel.scale[row], beside=shown.beside)[0]
        np.testing.assert_allclose(log_moves(series, card, folder), expected)
    with pytest.raises(
        BadInput, match="the model knows the market of 2 days, and 2016-07-18 is none of them"
    ):
        log_moves(cut(coins[0], 200), card, folder)


@pytest.mark.parametrize(
    "params, sentence",
    [
        ({**LAD, "features": ["lag"]}, "x.json: there is no feature group 'lag'; known: lags, volatility"),
        ({**LAD, "features": []}, "'features' must name at least one group, and none twice"),
        ({**LAD, "features": ["lags", "lags"]}, "'features' must name at least one group, and none twice"),
        ({**LAD, "features": "lags"}, "'features' must be of type list, not 'lags'"),
        ({**LAD, "features": [["lags"]]}, "there is no feature group ['lags']"),
        ({**LAD, "label": "price"}, "there is no label 'price'; known: return, excess"),
        (
            {**LAD, "method": "blend", "shrink": 1, "members": [{"method": "lad"}]},
            "unknown parameter 'ridge'",
        ),
        ({**LAD, "ridge": float("inf")}, "'ridge' must be of type float, not inf"),
        ({**LAD, "ridge": -1}, "'ridge' must be at least 0, not -1"),
        ({**RIDGE, "features": ["market"]}, "x.json: this model can't be shown 'market', only lags"),
        ({**RIDGE, "label": "excess"}, "unknown parameter 'label'"),
    ],
)
def test_what_can_not_be_shown_is_refused_with_a_sentence(params: dict[str, Any], sentence: str) -> None:
    check = check_global if params["family"] == "global" else FAMILIES[params["family"]].check
    with pytest.raises(BadInput) as caught:
        check(params, "x.json")
    assert sentence in str(caught.value)


def test_a_network_reads_a_sequence_and_can_be_shown_nothing_beside() -> None:
    network = {"units": 2, "rate": 0.1, "epochs": 1, "batch": 8, "patience": 1, "seed": 0}
    common = {name: LAD[name] for name in ("family", "lags", "rows", "min_rows", "refit_every")}
    blend = {"method": "blend", "shrink": 1, "members": [{"method": "lstm", **network}]}
    for params in ({**common, "method": "lstm", **network}, {**common, **blend}):
        check_global({**params, "features": ["lags"]}, "x.json")
        with pytest.raises(BadInput, match="this model can't be shown 'calendar', only lags"):
            check_global({**params, "features": ["lags", "calendar"]}, "x.json")


@pytest.mark.parametrize(
    "condition",
    [
        "volume IS NULL OR volume > 1e4",
        "slug IN ('bitcoin', 'ethereum') -- the large ones",
        "year(date) >= 2016 AND date_part('month', date) <> 12",
        "date BETWEEN DATE '2016-01-01' AND DATE '2017-01-01' + 3",
        "date < TIMESTAMP '2017-01-01' AND date >= DATE '2016-01-01' - INTERVAL 3 DAY",
        "lower(trim(slug)) NOT ILIKE 'b%' OR slug ^@ 'eth' OR slug SIMILAR TO 'a.*' OR substring(slug, 1, 2) = 'xr'",
        "round(sqrt(greatest(price, 1)), 2)::DECIMAL(10, 2) > 1 OR coalesce(nullif(volume, 0), 1) % 2 = 1",
        "slug LIKE 'b%' AND LN(price) > 0 AND CASE WHEN moved THEN vol > 0.01 ELSE age::INT % 2 = 0 END",
    ],
)
def test_a_condition_may_say_what_it_likes_of_its_row(condition: str) -> None:
    check_condition(condition)


@pytest.mark.parametrize(
    "condition, sentence",
    [
        ("price > (SELECT avg(price) FROM panel)", "it holds a subquery"),
        ("row_number() OVER (ORDER BY date) > 3", "it holds a window"),
        ("price > avg(price)", "it may not use avg()"),
        ("random() < 0.5", "it may not use random()"),
        ("date < current_date", "there is no column 'current_date'"),
        ("date < now()", "it may not use now()"),
        (
            "repeat('a', 100000000) = slug",
            "it may not use repeat(); there is: arithmetic, LIKE, abs, ceil, contains",
        ),
        ("length(printf('%1000000000d', 3)) > 1", "it may not use printf(); there is: arithmetic, LIKE, abs"),
        (
            "length(rpad(slug || age::VARCHAR, 20000000, 'x')) > 1",
            "it may not use rpad(); there is: arithmetic",
        ),
        ("slug || 'a' = 'aa'", "it may not use ||; there is: arithmetic, LIKE, abs"),
        ("[age] = [1]", "it may not use list_value()"),
        (
            "date::TIMESTAMPTZ > '2016-01-01'",
            "it may not use the type TIMESTAMPTZ; there is: BIGINT, BOOLEAN",
        ),
        ("date > TIMESTAMP WITH TIME ZONE '2016-01-01'", "the type TIMESTAMP WITH TIME ZONE; there is"),
        ("date AT TIME ZONE 'Asia/Tokyo' > '2016-01-01'", "it may not use timezone()"),
        ("slug::INT[100000000] IS NULL", "it may not use the type array"),
        ("row_number > 5", "there is no column 'row_number'; known: slug, date, price"),
        ("true) LIMIT (5", "it is more than a condition"),
        ("true); COPY panel TO '/tmp/x.csv'; SELECT (1", "it is more than a condition"),
        ("slug IN (SELECT content FROM read_text('/etc/hostname'))", "it holds a subquery"),
        ("slug = getenv('HOME')", "it may not use getenv()"),
        ("price > ?", "it holds a parameter"),
        ("price >", "syntax error"),
        ("year(price) > 2016", "is no condition: "),
        ("true" + " OR true" * 2000, "longer than 4000 characters"),
        ("(" * 1900 + "true" + ")" * 1900, "is no condition"),
    ],
)
def test_a_condition_that_sees_more_than_its_row_is_refused(condition: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_condition(condition)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_condition_that_takes_too_long_is_interrupted_and_refused() -> None:
    with database() as memory:
        memory.execute(
            "CREATE VIEW panel AS SELECT range AS row_number, sin(range) AS price FROM range(1000000000000000)"
        )
        with pytest.raises(BadInput, match=r"'price > 2' takes longer than 0 s: say it more simply"):
            ask(memory, "price > 2", seconds=0)


WORDS = [
    *"(),;[]{}:?*>1",
    "::",
    "--",
    "/*",
    "*/",
    "'",
    '"',
    "SELECT",
    "FROM",
    "panel",
    "price",
    "slug LIKE 'a%'",
]
WORDS += ["AND", "OR", "NOT", "IS NULL", "COPY", "TO", "ATTACH", "$1", "->", "LIMIT"]
texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))


@settings(max_examples=60, deadline=None)
@given(texts)
def test_any_text_is_a_condition_or_is_refused_with_a_sentence(text: str) -> None:
    with contextlib.suppress(BadInput):
        check_condition(text)
