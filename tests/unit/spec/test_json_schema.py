"""The JSON Schema of specs takes what lint takes, and refuses what a schema can see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pachlet.spec.field_words import WORDS
from pachlet.spec.fields import SPEC, fields
from pachlet.spec.json_schema import json_schema
from pachlet.spec.lint import lint
from tests.properties.test_specs import GOOD, VALUES, messages, objects

ROOT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft7Validator(json_schema())
BROKEN = sorted(path for path in (ROOT / "tests/golden/specs").iterdir() if path.suffix in (".json", ".yaml"))
SEEN = {"unknown-field", "old-field", "wrong-kind", "pipeline-name", "input", "reprocess-spec", "service"}
UNSEEN = {"start-time.json"}  # a day that no month has


def values(path: Path) -> list[Any]:
    """Return what an ordinary reader finds in a file; nothing if it can't be read."""
    try:
        if path.suffix == ".json":
            return [json.loads(path.read_text())]
        return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]
    except (ValueError, yaml.YAMLError, RecursionError):
        return []


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


def test_every_field_has_words_and_no_other() -> None:
    for message in messages(SPEC):
        assert set(WORDS.get(message, {})) == {field.name for field in fields(message).values()}, message


@pytest.mark.parametrize("path", sorted(ROOT.glob("pipelines/*/*.json")), ids=lambda path: path.stem)
def test_our_specs_are_valid(path: Path) -> None:
    VALIDATOR.validate(json.loads(path.read_text()))


def test_both_spellings_and_lists_are_valid() -> None:
    VALIDATOR.validate(json.loads(GOOD))
    spec = {
        "pipeline": {"name": "a"},
        "datumTries": "3",
        "input": {"pfs": {"joinOn": "$1"}},
        "description": None,
    }
    VALIDATOR.validate([spec, spec])


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_broken_specs_are_invalid_as_far_as_a_schema_sees(path: Path) -> None:
    rules = {each.rule.name for each in lint(path.read_bytes(), path.name).refused}
    for value in values(path):
        valid = VALIDATOR.is_valid(value)
        if not rules:
            assert valid
        elif len(values(path)) == 1 and rules & SEEN and path.name not in UNSEEN:
            assert not valid, rules


def test_some_of_the_broken_specs_are_seen() -> None:
    seen = [path for path in BROKEN if any(not VALIDATOR.is_valid(value) for value in values(path))]
    assert len(seen) >= 30


@given(objects() | st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2)))
def test_what_lint_takes_is_valid(value: Any) -> None:
    if not lint(json.dumps(value), "a.json").refused:
        VALIDATOR.validate(value)
