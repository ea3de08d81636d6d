"""Whatever a file holds, lint answers; it finds nothing where a server refuses nothing; what is mended stays so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pachlet.errors import PachletError
from pachlet.spec.defaults import effective_spec
from pachlet.spec.lint import Linted, lint
from pachlet.spec.mend import mend
from pachlet.spec.parse import parse_specs
from pachlet.spec.validate import validate_pipeline
from tests.properties.test_specs import FILENAMES, GOOD, VALUES, objects

SPECS = Path(__file__).parents[1] / "golden" / "specs"
BROKEN = sorted(path for path in SPECS.iterdir() if path.suffix in (".json", ".yaml"))
SMALL = [path.read_bytes() for path in BROKEN if path.stat().st_size < 2000]
OTHER_VALUES = {"quantity", "command-words", "reprocess-spec", "service"}
"""Rules whose repair gives a field another value of the same kind."""
PUNCTUATION = "{}[]\"':,-\\/#&*!|>%@`nul\t\n\r 1.eE+a\ufeff\x00\x85\u2028“”"


def refusal(content: str | bytes, filename: str) -> str:
    """Return what a server would refuse a file with."""
    try:
        for spec in parse_specs(content, filename):
            validate_pipeline(effective_spec(spec.json, {}, {}))
    except PachletError as error:
        return str(error)
    return ""


def check(content: str | bytes, filename: str) -> Linted:
    """Lint and mend a file, and check what holds for any."""
    mended = mend(content, filename)
    linted, after = mended.before, mended.after
    for problem in linted.problems:
        assert str(problem).isprintable()
        assert problem.hint.isprintable()
        assert all(0 <= edit.start <= edit.end <= len(linted.text) for edit in problem.edits)
    refused = [
        each for each in linted.refused if each.rule.name != "own-output"
    ]  # which needs the repos to be seen
    assert bool(refused) == bool(refusal(content, filename)), [str(each) for each in linted.problems]
    assert after.is_read or not linted.is_read
    again = mend(after.text, filename)
    assert not again.is_changed
    if (
        linted.is_read
        and not after.refused
        and not {each.rule.name for each in linted.problems} & OTHER_VALUES
    ):
        # What was read as meant is what the mended text says.
        assert [spec.json for spec in after.specs] == [spec.json for spec in linted.specs]
    return after


@settings(deadline=None)
@given(st.text() | st.binary(), FILENAMES)
def test_any_text(content: str | bytes, filename: str) -> None:
    check(content, filename)


@settings(deadline=None)
@given(st.text(PUNCTUATION, max_size=30), FILENAMES)
def test_any_punctuation(text: str, filename: str) -> None:
    check(text, filename)


@settings(deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, 6), st.text("{}[]\"':,\\ -#\n1u", max_size=3), FILENAMES)
def test_any_slip_in_a_good_spec(at: int, gone: int, put: str, filename: str) -> None:
    check(GOOD[:at] + put + GOOD[at + gone :], filename)


@settings(deadline=None)
@given(
    st.sampled_from(SMALL),
    st.integers(0, 1000),
    st.integers(0, 4),
    st.binary(max_size=2) | st.sampled_from([b"\r\n", b"\t", b"#", b"//", b"'", b'"', b",", b"}"]),
    FILENAMES,
)
def test_any_slip_in_a_broken_spec(content: bytes, at: int, gone: int, put: bytes, filename: str) -> None:
    check(content[:at] + put + content[at + gone :], filename)


OLD = [
    "atom",
    "standby",
    "chunk_spec",
    "enable_stats",
    "pipelineName",
    "name",
    "parallelism",
    "strategy",
    "script",
]
OLD += [
    "coefficient",
    "git",
    "build",
    "command",
    "from_commit",
    "pipeline",
    "transform",
    "input",
    "cross",
    "cmd",
]
OLD += [
    "stdin",
    "constant",
    "glob",
    "repo",
    "datum_timeout",
    "tranform",
    "project",
    "memory",
    "resource_limits",
]
old_objects = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(OLD), inner, max_size=4),
)


@settings(deadline=None)
@given(objects() | old_objects, st.sampled_from([None, 1, 4]))
@example({"transform": {"cmd": [""]}}, None)
def test_any_value_in_any_layout(value: Any, indent: int | None) -> None:
    check(json.dumps(value, indent=indent), "a.json")
    check(json.dumps(value, indent=indent), "a.yaml")


@settings(deadline=None)
@given(objects() | old_objects)
def test_any_value_in_yaml(value: Any) -> None:
    import yaml

    check(yaml.safe_dump(value, sort_keys=False), "a.yaml")


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name)
def test_each_broken_spec(path: Path) -> None:
    check(path.read_bytes(), path.name)


@pytest.mark.parametrize("name", ["everything-old.json", "everything-old.yaml", "p2651-stdin-string.json"])
def test_the_known_slips_are_mended_whole(name: str) -> None:
    assert not check((SPECS / name).read_bytes(), name).problems


def test_many_problems_take_no_time() -> None:
    text = '{"pipeline": {"name": "a"}, "transform": {"cmd": [' + "'a'," * 20_000 + "]}}"
    linted = lint(text, "a.json")
    assert 100 < len(linted.problems) <= 1000
    assert not linted.is_read
