"""The page of requirements has every one that is in scope, once, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from pachlet.cli.registry import FAMILIES

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "requirements.md").read_text()
ROWS = re.findall(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", PAGE, re.M)
LATER = {127, 138, 141, *range(146, 151)}
IN_SCOPE = [n for n in (*range(1, 91), *range(117, 153), *range(162, 193)) if n not in LATER]
NOT_HERE = {"11", "38", "56", "71", "78", "85", "86", "87", "140", "186"}
"""Those that nothing shows: they are refusals, or about what is not built."""


def test_every_requirement_in_scope_has_its_row() -> None:
    assert [int(number) for number, *_ in ROWS] == IN_SCOPE


def test_every_row_is_shown_by_something_but_for_those_that_are_known() -> None:
    assert {number for number, _, _, shown in ROWS if not shown.strip()} == NOT_HERE


def test_every_wish_of_several_documents_has_its_test() -> None:
    module = ROOT / "tests" / "acceptance" / "test_company_requirements.py"
    there = set(re.findall(r"^def (test_[ivx]+)_", module.read_text(), re.M))
    assert {f"test_{each}" for each in re.findall(r"`test_([ivx]+)_…`", PAGE)} == there


def test_every_command_that_is_named_is_a_verb() -> None:
    verbs = {verb.name for family in FAMILIES.values() for verb in family}
    named = re.findall(r"`(?:pachctl|pachlet) ([a-z][a-z -]*)", PAGE)
    assert len(named) > 10
    for words in named:
        assert any(words == verb or words.startswith(f"{verb} ") for verb in verbs), words


def test_every_annotation_that_is_named_is_known() -> None:
    code = "".join(path.read_text() for path in (ROOT / "pachlet").rglob("*.py"))
    for name in re.findall(r"`(pachlet/[a-z-]+)", PAGE):
        assert f'"{name}"' in code, name


def test_what_is_named_is_there() -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    for name in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name
    for verb in re.findall(r"`make ([a-z-]+)", PAGE):
        assert verb in verbs
