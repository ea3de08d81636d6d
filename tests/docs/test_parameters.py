"""The page of the pipelines names the parameters of every family of models, and says what each of them means."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from steps.crypto import standardise, train_global, train_linear
from steps.crypto.cards import CARD, PARAMS
from steps.crypto.families import FAMILIES
from steps.crypto.formats import read_json, write_csv, write_json
from steps.crypto.global_fit import EVERY, FIELDS, OPTIONAL
from steps.crypto.seeds import RECIPES

PAGE = (Path(__file__).parents[2] / "docs" / "crypto.md").read_text()
SECTION = PAGE.partition("### Parameter files")[2].partition("\n### ")[0]
ROWS = re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \| ([^|]+) \| (`[^|]+`) \|$", SECTION, re.M)
MEANT = re.findall(r"^\| (`[^|]+`) \| [^|]+ \|$", SECTION, re.M)


def test_a_models_card_holds_what_the_page_says(tmp_path: Path) -> None:
    (cell,) = re.findall(r"^\| `card.json` of a model[^|]+\| ([^|]+) \|$", PAGE, re.M)
    held: set[str] = set()
    days = pd.date_range("2016-01-01", periods=120, freq="D")
    closes = pd.Series(100 * np.exp(0.1 * np.sin(np.arange(120) ** 2)), index=days)
    rows = (standardise.cells(day) for day in standardise.standardise(closes).itertuples())
    write_csv(tmp_path / "standardise/coin/series.csv", standardise.COLUMNS, rows)
    lad = {"method": "lad", "ridge": 1, "rows": "", "features": ["lags", "market"]}
    for family, more in (("linear", {"alpha": 1}), ("global", lad)):
        shared = {"family": family, "lags": 3, "min_rows": 30, "refit_every": 1}
        write_json(tmp_path / f"params/{family}/one.json", {"schema": PARAMS, **shared, **more})
    for train, place in ((train_linear, "coin/linear.one"), (train_global, "global.one")):
        train.run(tmp_path, tmp_path / "out")
        held |= read_json(tmp_path / "out" / place / "card.json", CARD).keys()
    inner = {"ok", "skipped", "reason", "file", "sha256", "scale", "target", "lags", "global"}
    assert words(cell) - inner == held - {"schema"}


def words(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


def test_each_family_has_the_parameters_that_its_files_must_have() -> None:
    told = {(family, method): words(cell) for family, method, _, cell in ROWS}
    wanted = {(name, ""): set(family.fields) for name, family in FAMILIES.items()}
    wanted |= {("global", method): set(fields) for method, fields in FIELDS.items()}
    assert told == {**wanted, ("global", ""): set(EVERY)}


def test_the_originals_are_all_named() -> None:
    (about,) = (about for family, _, about, _ in ROWS if family == "seed")
    assert words(about) == {"method", *RECIPES}


def test_each_parameter_means_something() -> None:
    every = {*EVERY, *OPTIONAL}.union(*FIELDS.values(), *(family.fields for family in FAMILIES.values()))
    assert set().union(*map(words, MEANT)) == every
